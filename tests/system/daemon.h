/* A beamd child for system tests: its own runtime directory, its service manager is the test. */
#ifndef TEST_DAEMON_H
#define TEST_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "beamc/beamc.h"
#include "common/owned.h"

typedef struct test_daemon {
    pid_t pid;
    char dir[64];
    char config[80]; /* its file; empty: none */
    int notify_fd;   /* the manager's end of NOTIFY_SOCKET */
    int log_fd;      /* what the child wrote to standard error */
} test_daemon;

/* Starts beamd with `--set` for each of the settings (NULL-terminated; NULL: none) and waits for
 * READY=1. watchdog_us 0: no watchdog. Ends the test on failure. */
void test_daemon_start(test_daemon *self, const char *const *settings, unsigned watchdog_us);
/* Likewise with a configuration file of this text (NULL: none), which SIGHUP reads again. */
void test_daemon_start_configured(test_daemon *self, const char *config,
                                  const char *const *settings, unsigned watchdog_us);
/* Writes the file anew; SIGHUP is the caller's. */
void test_daemon_configure(const test_daemon *self, const char *text);
/* kill -9, and gone when it returns; the directory stays for the next process. */
void test_daemon_kill(test_daemon *self);
void test_daemon_again(test_daemon *self, const char *const *settings, unsigned watchdog_us);
/* SIGTERM, then the exit status (128 + signal when killed); removes the directory. */
int test_daemon_stop(test_daemon *self);
/* Waits for the end without a signal. */
int test_daemon_wait(test_daemon *self, int timeout_ms);
/* The next notification that contains `text`, within the time; false if none. */
bool test_daemon_notified(test_daemon *self, const char *text, int timeout_ms);
/* Everything logged so far; the caller frees it. */
char *test_daemon_log(test_daemon *self);

/* GET /metrics; the caller frees the body. Ends the test on failure. */
char *test_daemon_metrics(const test_daemon *self);
/* Value of the sample "name{labels}" in a metrics text; fails the test if absent. */
double test_metric(const char *metrics, const char *sample);

beamc_client *test_client(const test_daemon *self);

/* Registers `id` with the sizes, stations and model of the scene (float64 beams) at a trade-off < 0
 * for none. */
void test_register(beamc_client *client, const char *id, const beam_scene *scene, double tradeoff);
void test_send_targets(beamc_client *client, const char *id, const beam_scene *scene);
/* User u has id 100 + u. Returns the sequence. */
unsigned long long test_send_csi(beamc_client *client, const char *id, const beam_scene *scene,
                                 unsigned deadline_us);
/* Register, targets (acknowledged). */
void test_set_up(beamc_client *client, const char *id, const beam_scene *scene, double tradeoff);

/* Sends the scene's CSI and returns the solution (valid until the next call with the client). */
const beamc_solution *test_solve(beamc_client *client, const char *id, const beam_scene *scene);

/* Recomputes every number of the solution from its beams alone and the scene: rates, bound, powers,
 * floors, merit. */
void test_check_solution(const beam_scene *scene, const beamc_solution *solution);

#endif
