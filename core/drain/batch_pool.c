// SPDX-License-Identifier: Apache-2.0
#include "drain/batch_pool.h"

static uint64_t headers_bytes(const nsp_config *config)
{
    return (config->batches * sizeof(nsp__batch_header) + 127) & ~(uint64_t)127;
}

static uint64_t coverage_bytes(const nsp_config *config)
{
    return (config->threads * sizeof(uint64_t) + 127) & ~(uint64_t)127;
}

static uint64_t data_offset(const nsp_config *config)
{
    return (headers_bytes(config) + config->batches * coverage_bytes(config) + 4095) & ~(uint64_t)4095;
}

uint64_t nsp__batch_pool_bytes(const nsp_config *config)
{
    return data_offset(config) + (uint64_t)config->batches * config->batch_bytes;
}

void nsp__batch_pool_make(nsp__batch *batches, const nsp__session *session, const nsp_config *config)
{
    nsp__batch_header *headers = (nsp__batch_header *)(void *)session->batches;
    for (uint32_t i = 0; i < config->batches; i++) {
        uint64_t offset = data_offset(config) + (uint64_t)i * config->batch_bytes;
        headers[i].data_offset = offset;
        headers[i].capacity = config->batch_bytes;
        batches[i] = (nsp__batch){
            .exported = {.data = session->batches + offset, .capacity = config->batch_bytes},
            .header = &headers[i],
            .index = i,
        };
    }
}

uint64_t *nsp__batch_coverage(const nsp__batch *batch, const nsp__session *session, const nsp_config *config)
{
    return (uint64_t *)(void *)(session->batches + headers_bytes(config) +
                                batch->index * coverage_bytes(config));
}
