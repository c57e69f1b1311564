/* The memory of a batch as the device reads it: one block with its head, an entry per request,
 * plans and requests, and one with the answers. Problems of different sizes lie side by side: every
 * entry names the plan of its problem. Offsets in bytes from the start of the block, multiples of
 * 16. Packed by gpu/batch.c. */
#ifndef BEAM_GPU_BATCH_CUH
#define BEAM_GPU_BATCH_CUH

#include "plan.cuh"

typedef struct beam_gpu_batch_head {
    int count;  /* requests */
    int model;  /* which of the two sets of weights */
    int refine; /* most iterations that a request asks for */
    int reserved[13];
} beam_gpu_batch_head; /* the entries follow */

typedef struct beam_gpu_batch_entry {
    size_t plan, request; /* in the block of requests */
    size_t answer;        /* in the block of answers */
    int cluster, reserved;
} beam_gpu_batch_entry;

/* Memory of a batch in flight, and what batches share. */
typedef struct beam_gpu_batch_memory {
    const unsigned char *clusters;
    size_t cluster_apart; /* bytes */
    const float *weights; /* two sets */
    size_t weights_apart; /* floats */
    const unsigned char *in;
    unsigned char *out;
    unsigned char *slow;           /* of every team of a launch */
    size_t slow_apart;             /* bytes */
    const beam_c32 *network_beams; /* mlp: what it found, per request as an answer's beams; NULL:
                                      the layers of the equivariant network are run */
    size_t network_apart;          /* elements */
} beam_gpu_batch_memory;

BEAM_HD const beam_gpu_batch_head *beam_gpu_batch_head_of(const beam_gpu_batch_memory *m)
{
    return (const beam_gpu_batch_head *)(const void *)m->in;
}
BEAM_HD const beam_gpu_batch_entry *beam_gpu_batch_entry_of(const beam_gpu_batch_memory *m, int i)
{
    return (const beam_gpu_batch_entry *)(const void *)(m->in + sizeof(beam_gpu_batch_head)) + i;
}

/* Where a team keeps the plan of its problem: near, and read once for all problems that share it.
 */
typedef struct beam_gpu_near_plan {
    beam_gpu_plan *plan; /* the team's: shared memory on the device */
    size_t held;         /* the plan it has, as entries name it; 0: none */
} beam_gpu_near_plan;

/* Request i of the batch into *p; its fast and slow memory and near are the team's. Every lane. */
BEAM_HD_PART void beam_gpu_batch_problem(const beam_team *t, const beam_gpu_batch_memory *m, int i,
                                         beam_gpu_near_plan *near, beam_gpu_problem *p)
{
    const beam_gpu_batch_entry *entry = beam_gpu_batch_entry_of(m, i);
    if (entry->plan != near->held) {
        const int *from = (const int *)(const void *)(m->in + entry->plan);
        int *to = (int *)(void *)near->plan;
        beam_team_sync(t); /* the problem before may be read yet */
        BEAM_EACH(t, k, (int)(sizeof(beam_gpu_plan) / sizeof(int)))
        {
            to[k] = from[k];
        }
        beam_team_sync(t);
        near->held = entry->plan;
    }
    p->plan = near->plan;
    p->request = m->in + entry->request;
    p->answer = m->out + entry->answer;
    p->cluster = m->clusters + (size_t)entry->cluster * m->cluster_apart;
    p->weights = m->weights + (size_t)beam_gpu_batch_head_of(m)->model * m->weights_apart;
    p->network = m->network_beams ? m->network_beams + (size_t)i * m->network_apart : NULL;
}

#endif
