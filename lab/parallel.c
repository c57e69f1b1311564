#define _GNU_SOURCE
#include "lab/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct lab_pool {
    lab_task *run;
    void *arg;
    int count;
    atomic_int next;
    atomic_bool failed;
    pthread_mutex_t lock;
    int failed_task; /* under lock */
    beam_error error;
} lab_pool;

typedef struct lab_thread {
    lab_pool *pool;
    int worker;
    pthread_t id;
} lab_thread;

static void *work(void *arg)
{
    const lab_thread *self = arg;
    lab_pool *pool = self->pool;
    while (!atomic_load(&pool->failed)) {
        const int task = atomic_fetch_add(&pool->next, 1);
        if (task >= pool->count) {
            break;
        }
        beam_error error = {.code = BEAM_OK};
        if (pool->run(pool->arg, self->worker, task, &error) != BEAM_OK) {
            atomic_store(&pool->failed, true);
            pthread_mutex_lock(&pool->lock);
            if (pool->failed_task < 0 || task < pool->failed_task) {
                pool->failed_task = task;
                pool->error = error;
            }
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

beam_code lab_parallel_run(int threads, int count, lab_task *run, void *arg, beam_error *err)
{
    lab_pool pool = {.run = run, .arg = arg, .count = count, .failed_task = -1};
    pthread_mutex_init(&pool.lock, NULL);
    if (threads > count) {
        threads = count;
    }
    lab_thread *const others = threads > 1 ? calloc((size_t)threads, sizeof *others) : NULL;
    int started = 0;
    /* fewer threads than asked for only cost time */
    for (int i = 1; others && i < threads; i++) {
        lab_thread *thread = &others[started];
        *thread = (lab_thread){.pool = &pool, .worker = started + 1};
        if (pthread_create(&thread->id, NULL, work, thread) != 0) {
            break;
        }
        started++;
    }
    lab_thread self = {.pool = &pool, .worker = 0};
    work(&self);
    for (int i = 0; i < started; i++) {
        pthread_join(others[i].id, NULL);
    }
    free(others);
    pthread_mutex_destroy(&pool.lock);
    if (pool.failed_task >= 0 && err) {
        *err = pool.error;
    }
    return pool.failed_task >= 0 ? pool.error.code : BEAM_OK;
}

void lab_stay_on_this_core(void)
{
    const int core = sched_getcpu();
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core >= 0) {
        CPU_SET((size_t)core, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}
