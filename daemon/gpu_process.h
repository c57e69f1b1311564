/* The process behind a gpu_link: started, killed, seen to end. Loop's thread. */
#ifndef BEAMD_GPU_PROCESS_H
#define BEAMD_GPU_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct beamd_gpu_process {
    pid_t pid; /* 0: none */
    int fd;    /* of the process, readable when it has ended; -1: none */
} beamd_gpu_process;

/* program: a path. arguments: NULL-ended words after the descriptors' options, or NULL. fds:
 * memory, request, answer; all at or above BEAMD_GPU_FD_LOW. The process gets these as 3, 4 and 5,
 * standard error, /dev/null for the rest and nothing else; a session of its own, no signal blocked,
 * the ordinary scheduler. 0; else an errno and `why`. */
enum { BEAMD_GPU_FD_LOW = 6 };
int beamd_gpu_process_start(beamd_gpu_process *self, const char *program,
                            const char *const *arguments, const int fds[3], char *why, size_t size);
/* Moves a descriptor to BEAMD_GPU_FD_LOW or above. False: there is none; *fd stays. */
bool beamd_gpu_fd_raise(int *fd);
/* SIGKILL. A driver may keep the process for as long as it likes. */
void beamd_gpu_process_kill(const beamd_gpu_process *self);
/* True when it has ended: it is reaped (unless somebody else did that), its descriptor closed, and
 * `how` says how. limit_ms: how long to wait for that. */
bool beamd_gpu_process_ended(beamd_gpu_process *self, int limit_ms, char *how, size_t size);

#endif
