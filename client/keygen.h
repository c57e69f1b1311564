/* beamctl keygen. */
#ifndef BEAMCTL_KEYGEN_H
#define BEAMCTL_KEYGEN_H

/* argv[0] is the command's name. Reads its own options; returns the exit status. */
int beamctl_keygen(int argc, char **argv);

#endif
