/* The commands of beamlab. Each takes the words after its name and returns the exit status. */
#ifndef LAB_COMMANDS_H
#define LAB_COMMANDS_H

int lab_command_solve(int argc, char **argv);
int lab_command_front(int argc, char **argv);
int lab_command_scene(int argc, char **argv);
int lab_command_evaluate(int argc, char **argv);
int lab_command_figure(int argc, char **argv);
int lab_command_bench(int argc, char **argv);
int lab_command_train(int argc, char **argv);
int lab_command_model(int argc, char **argv);
int lab_command_plot(int argc, char **argv);

#endif
