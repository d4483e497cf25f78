// SPDX-License-Identifier: Apache-2.0
#include "drain/batch_pool.h"

#include <stdlib.h>
#include <string.h>

bool nsp__batch_pool_init(nsp__batch_pool *pool, uint32_t count, nsp__counters *counters)
{
    memset(pool, 0, sizeof *pool);
    pool->batches = calloc(count, sizeof *pool->batches);
    pool->unused = calloc(count, sizeof *pool->unused);
    if (pool->batches == NULL || pool->unused == NULL || !nsp__batch_queue_init(&pool->empty, count)) {
        nsp__batch_pool_destroy(pool);
        return false;
    }
    pool->count = count;
    for (uint32_t i = count; i-- > 0;) { // the first one is taken first
        pool->batches[i] = (nsp__batch){.counters = counters, .pool = pool, .index = i};
        nsp__batch_pool_put_unused(pool, &pool->batches[i]);
    }
    return true;
}

void nsp__batch_pool_destroy(nsp__batch_pool *pool)
{
    nsp__batch_queue_destroy(&pool->empty);
    free(pool->unused);
    free(pool->batches);
    memset(pool, 0, sizeof *pool);
}

void nsp__batch_pool_place(nsp__batch_pool *pool, const nsp__session *session, const nsp_config *config)
{
    const nsp__batches_layout layout = nsp__batches_layout_of(config);
    nsp__batch_header *headers = (nsp__batch_header *)(void *)session->batches;
    for (uint32_t i = 0; i < pool->count; i++) {
        uint64_t offset = layout.data_offset + (uint64_t)i * config->batch_bytes;
        headers[i].data_offset = offset;
        headers[i].capacity = config->batch_bytes;
        nsp__batch *batch = &pool->batches[i];
        batch->exported.data = session->batches + offset;
        batch->exported.capacity = config->batch_bytes;
        batch->header = &headers[i];
        batch->coverage =
            (uint64_t *)(void *)(session->batches + layout.coverage_offset + i * layout.coverage_stride);
    }
}

static void collect_settled(nsp__batch_pool *pool)
{
    for (nsp__batch *batch; (batch = nsp__batch_queue_take(&pool->empty)) != NULL;)
        nsp__batch_pool_put_unused(pool, batch);
}

// The batch that was used last is taken first, because its memory is most likely to be in a cache. Batches
// that are never needed are never touched.
nsp__batch *nsp__batch_pool_take(nsp__batch_pool *pool)
{
    collect_settled(pool);
    return pool->unused_count != 0 ? pool->unused[--pool->unused_count] : NULL;
}

void nsp__batch_pool_put_unused(nsp__batch_pool *pool, nsp__batch *batch)
{
    pool->unused[pool->unused_count++] = batch;
}

uint32_t nsp__batch_pool_away(nsp__batch_pool *pool)
{
    collect_settled(pool);
    return pool->count - pool->unused_count;
}

void nsp__batch_pool_put_settled(nsp__batch *batch)
{
    nsp__batch_queue_put(&batch->pool->empty, batch);
}
