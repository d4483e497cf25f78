// SPDX-License-Identifier: Apache-2.0
#include "trace/inherited.h"

#include <sys/mman.h>

typedef struct kept_span {
    uintptr_t handle;
    nsp_context context;
} kept_span;

typedef struct kept_spans {
    size_t count, room;
    kept_span spans[];
} kept_spans;

// `inherited` comes from the fork that created this process and from those before it; `kept` belongs to one
// that is under way. Both are written while there is no other thread, or by the thread that forks.
static kept_spans *inherited, *kept;

static size_t bytes_of(size_t room)
{
    return sizeof(kept_spans) + room * sizeof(kept_span);
}

void nsp__inherited_add(uintptr_t handle, const nsp_context *context)
{
    if (!nsp_context_valid(context) || kept->count == kept->room)
        return;
    kept_span *span = &kept->spans[kept->count++];
    span->handle = handle;
    span->context = *context;
    span->context.remote = true; // for the child it belongs to another process
    span->context.local_root = 0;
}

bool nsp__inherited_begin(size_t count)
{
    size_t room = count + (inherited != NULL ? inherited->count : 0);
    if (room == 0)
        return false;
    void *memory = mmap(NULL, bytes_of(room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    kept = memory;
    kept->room = room;
    return true;
}

void nsp__inherited_add_own(void)
{
    for (size_t i = 0; inherited != NULL && i < inherited->count; i++)
        nsp__inherited_add(inherited->spans[i].handle, &inherited->spans[i].context);
}

void nsp__inherited_drop(void)
{
    if (kept != NULL)
        munmap(kept, bytes_of(kept->room));
    kept = NULL;
}

void nsp__inherited_take(void)
{
    if (inherited != NULL)
        munmap(inherited, bytes_of(inherited->room));
    inherited = kept;
    kept = NULL;
}

// The handle of a path is its frame alone: its tag lay in the parent's memory.
static bool stands_for(uintptr_t handle, uintptr_t inherited_handle)
{
    return handle == ((handle & NSP__TAG_MASK) != 0 ? inherited_handle : inherited_handle & ~NSP__TAG_MASK);
}

bool nsp__inherited_context(const nsp_span *span, nsp_context *out)
{
    for (size_t i = 0; inherited != NULL && i < inherited->count; i++)
        if (stands_for((uintptr_t)span, inherited->spans[i].handle)) {
            *out = inherited->spans[i].context;
            return true;
        }
    return false;
}
