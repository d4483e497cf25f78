// SPDX-License-Identifier: Apache-2.0
//
// Where paths write that do not record: room that nobody reads, with the handle of the span that the path stands for in
// the word in front of it (abi/path.h).
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "trace/path_special.h"
#include "trace/trace_state.h"
#include <nanospan/path.h>

// What all threads share: for detached paths that find no place in a pool, and for threads without memory.
static char shared_scratch[NSP__SCRATCH_BYTES] __attribute__((aligned(256)));

static void scratch_fill(char *scratch)
{
    const struct {
        size_t at;
        uintptr_t handle;
    } places[] = {{NSP__SCRATCH_ROOT, NSP__UNSAMPLED_ROOT}, {NSP__SCRATCH_CHILD, NSP__UNSAMPLED_CHILD}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        memcpy(scratch + places[i].at - sizeof places[i].handle, &places[i].handle, sizeof places[i].handle);
}

__thread char *nsp__path_scratch_v4 __attribute__((tls_model("initial-exec")));

static pthread_key_t scratch_key;
static bool scratch_key_made;

// Rooms of threads that have ended, for others. They stay mapped, since what a program calls at a thread's end may still
// have a path that is in one.
enum { SPARES = 1024 };
static char *spares[SPARES];

static char *spare_take(void)
{
    for (int i = 0; i < SPARES; i++)
        if (__atomic_load_n(&spares[i], __ATOMIC_RELAXED) != NULL) {
            char *scratch = __atomic_exchange_n(&spares[i], NULL, __ATOMIC_ACQUIRE); // SS2: acquires SS1
            if (scratch != NULL)
                return scratch;
        }
    return NULL;
}

// Beyond so many the room is left where it is, and nobody has it again.
static void spare_give(char *scratch)
{
    for (int i = 0; i < SPARES; i++) {
        char *none = NULL;
        if (__atomic_compare_exchange_n(&spares[i], &none, scratch, false, __ATOMIC_RELEASE, // SS1
                                        __ATOMIC_RELAXED))
            return;
    }
}

static void scratch_release(void *scratch)
{
    nsp__path_scratch_v4 = NULL;
    spare_give(scratch);
}

// When the library is loaded, as in thread.c.
__attribute__((constructor)) static void scratch_prepare(void)
{
    scratch_fill(shared_scratch);
    scratch_key_made = pthread_key_create(&scratch_key, scratch_release) == 0;
}

char *nsp__path_scratch_make(void)
{
    if (!scratch_key_made) {
        scratch_fill(shared_scratch); // a constructor of the program may run before this library's
        return shared_scratch;
    }
    const int error = errno; // a span call must leave errno alone
    char *scratch = spare_take();
    if (scratch == NULL)
        scratch = mmap(NULL, NSP__SCRATCH_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    errno = error;
    if (scratch == MAP_FAILED)
        return shared_scratch;
    scratch_fill(scratch);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (nsp__path_scratch_v4 != NULL) { // a signal handler has made it meanwhile
        spare_give(scratch);
        return nsp__path_scratch_v4;
    }
    nsp__path_scratch_v4 = scratch;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    pthread_setspecific(scratch_key, scratch);
    return scratch;
}

void nsp__path_scratch_prepare(void)
{
    if (nsp__path_scratch_v4 == NULL)
        nsp__path_scratch_make();
}

void *nsp__path_room_for(nsp_span *span, bool detached)
{
    if (nsp__has_frame(span)) {
        char *room = (char *)nsp__frame_of(span) + NSP__PATH_INERT_AT;
        memcpy(room - sizeof span, &span, sizeof span);
        return room;
    }
    const size_t at = (uintptr_t)span == NSP__UNSAMPLED_ROOT    ? NSP__SCRATCH_ROOT
                      : (uintptr_t)span == NSP__UNSAMPLED_CHILD ? NSP__SCRATCH_CHILD
                                                                : NSP__SCRATCH_NOTHING;
    if (!detached || span == NULL) // where tracing is off, it goes with its thread
        return nsp__path_scratch(at);
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control != NULL)
        __atomic_fetch_add(&control->paths.shared, 1, __ATOMIC_RELAXED);
    return shared_scratch + at;
}
