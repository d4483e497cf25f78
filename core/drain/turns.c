// SPDX-License-Identifier: Apache-2.0
#include "drain/turns.h"

#include "common/time.h"

void nsp__turns_begin(nsp__turns *turns)
{
    *turns = (nsp__turns){.streak = 1};
}

static void append(nsp__turns *turns, nsp__batch_pool *pool)
{
    pool->line.before = turns->last;
    pool->line.after = NULL;
    *(turns->last != NULL ? &turns->last->line.after : &turns->first) = pool;
    turns->last = pool;
}

static void unlink_pool(nsp__turns *turns, nsp__batch_pool *pool)
{
    nsp__batch_pool *before = pool->line.before, *after = pool->line.after;
    *(before != NULL ? &before->line.after : &turns->first) = after;
    *(after != NULL ? &after->line.before : &turns->last) = before;
}

void nsp__turns_add(nsp__turns *turns, nsp__batch *batch)
{
    nsp__batch_pool *pool = batch->pool;
    batch->next = NULL;
    if (pool->line.first == NULL) {
        pool->line.first = batch;
        append(turns, pool);
    } else {
        pool->line.last->next = batch;
    }
    pool->line.last = batch;
}

void nsp__turns_remove(nsp__turns *turns, nsp__batch *batch)
{
    nsp__batch_pool *pool = batch->pool;
    pool->line.first = batch->next;
    pool->line.attempts = 0;
    pool->line.blamed = false;
    pool->line.streak = pool->line.due_ns = 0;
    if (turns->bound == pool)
        turns->bound = NULL;
    unlink_pool(turns, pool);
    if (pool->line.first != NULL)
        append(turns, pool);
}

static uint64_t due_of(const nsp__turns *turns, const nsp__batch_pool *pool)
{
    const nsp__line *line = &pool->line;
    if (nsp__batch_abandoned(line->first))
        return 0;
    if (line->attempts == 0)
        return nsp__later(turns->asked_ns, turns->failed_pools > 1 ? turns->gap_ns : 0);
    // If there was an answer since it failed, that may have been the receiver's fault.
    const uint64_t own = line->blamed || line->streak == turns->streak ? line->due_ns : 0;
    const uint64_t all = nsp__later(turns->asked_ns, nsp__later(turns->gap_ns, turns->again_ns));
    return nsp__later(own, all);
}

nsp__batch_pool *nsp__turns_next(const nsp__turns *turns, uint64_t now, uint64_t *due_ns)
{
    nsp__batch_pool *next = turns->bound;
    *due_ns = next != NULL ? nsp__later(due_of(turns, next), now) : UINT64_MAX;
    if (next != NULL)
        return next;
    for (nsp__batch_pool *pool = turns->first; pool != NULL && *due_ns > now; pool = pool->line.after) {
        const uint64_t due = nsp__later(due_of(turns, pool), now);
        if (next == NULL || due < *due_ns) {
            next = pool;
            *due_ns = due;
        }
    }
    return next;
}

void nsp__turns_answered(nsp__turns *turns)
{
    turns->streak++;
    turns->failures = turns->failed_pools = 0;
    turns->again_ns = 0;
}

void nsp__turns_failed(nsp__turns *turns, nsp__batch_pool *pool, bool asked)
{
    nsp__line *line = &pool->line;
    line->attempts++;
    if (asked)
        return;
    if (line->streak != 0 && line->streak != turns->streak)
        line->blamed = true;
    turns->failures++;
    turns->failed_pools += line->streak != turns->streak;
    line->streak = turns->streak;
}

static void move_back(nsp__turns *turns, nsp__batch_pool *pool)
{
    unlink_pool(turns, pool);
    append(turns, pool);
}

void nsp__turns_put_off(nsp__turns *turns, nsp__batch_pool *pool, uint64_t now,
                        const nsp__turns_pauses *pauses)
{
    pool->line.due_ns = nsp__after(now, pauses->own);
    turns->again_ns = nsp__after(now, pauses->others);
    turns->gap_ns = nsp__after(now, pauses->least);
    move_back(turns, pool);
}

void nsp__turns_hold(nsp__turns *turns, nsp__batch_pool *pool, uint64_t until_ns)
{
    turns->asked_ns = until_ns;
    move_back(turns, pool);
}

void nsp__turns_hurry(nsp__turns *turns, nsp__batch_pool *pool, uint64_t due_ns)
{
    pool->line.due_ns = nsp__earlier(pool->line.due_ns, due_ns);
    turns->gap_ns = nsp__earlier(turns->gap_ns, due_ns);
    turns->again_ns = nsp__earlier(turns->again_ns, due_ns);
}
