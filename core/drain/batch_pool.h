// SPDX-License-Identifier: Apache-2.0
//
// The pool of batches in the session's file `batches`: headers, coverage, data. Its size bounds what can wait
// for the network.
#ifndef NSP_DRAIN_BATCH_POOL_H
#define NSP_DRAIN_BATCH_POOL_H

#include "drain/batch.h"
#include "shm/session.h"

// The size of the file for a configuration.
uint64_t nsp__batch_pool_bytes(const nsp_config *config);

// Lays the pool out in the session's zeroed memory and fills `batches` (config->batches of them).
void nsp__batch_pool_make(nsp__batch *batches, const nsp__session *session, const nsp_config *config);

// Where a batch records, for each thread slot, the ring position up to which it holds the records; a reader
// after a crash takes the rest from the ring. One word for each of config->threads.
uint64_t *nsp__batch_coverage(const nsp__batch *batch, const nsp__session *session, const nsp_config *config);

#endif
