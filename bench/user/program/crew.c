// SPDX-License-Identifier: Apache-2.0
#include "crew.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <nanospan/nanospan.h>

static struct {
    unsigned threads; // with the calling one
    pthread_t thread[CREW_MAX];
    pthread_barrier_t barrier; // before and after each job
    void (*job)(void *context, unsigned index);
    void *context;
} crew;

static void *work(void *index)
{
    nsp_thread_attach(NULL);
    for (;;) {
        pthread_barrier_wait(&crew.barrier);
        if (crew.job == NULL)
            return NULL;
        crew.job(crew.context, (unsigned)(uintptr_t)index);
        pthread_barrier_wait(&crew.barrier);
    }
}

bool crew_start(unsigned threads)
{
    crew.threads = 1;
    pthread_barrier_init(&crew.barrier, NULL, threads);
    for (; crew.threads < threads; crew.threads++) {
        void *index = (void *)(uintptr_t)crew.threads;
        if (pthread_create(&crew.thread[crew.threads], NULL, work, index) != 0)
            return false;
    }
    return true;
}

void crew_run(void (*job)(void *context, unsigned index), void *context)
{
    crew.job = job;
    crew.context = context;
    pthread_barrier_wait(&crew.barrier);
    job(context, 0);
    pthread_barrier_wait(&crew.barrier);
}

void crew_stop(void)
{
    crew.job = NULL;
    pthread_barrier_wait(&crew.barrier);
    for (unsigned i = 1; i < crew.threads; i++)
        pthread_join(crew.thread[i], NULL);
    pthread_barrier_destroy(&crew.barrier);
}
