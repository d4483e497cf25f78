// SPDX-License-Identifier: Apache-2.0
//
// The session's file `batches`: a header for each batch, then each batch's coverage, then their bytes.
#ifndef NSP_SHM_BATCHES_H
#define NSP_SHM_BATCHES_H

#include <nanospan/config.h>

// Life of a batch. Transitions: EMPTY -> FILLING -> CLOSED by the drainer; CLOSED -> SENDING -> SETTLING by
// the sender, and from there to EMPTY, or back to SENDING if only some of its spans are settled.
enum {
    NSP__BATCH_EMPTY = 0,
    NSP__BATCH_FILLING = 1,
    NSP__BATCH_CLOSED = 2,
    NSP__BATCH_SENDING = 3,
    NSP__BATCH_SETTLING = 4 // answered or given up: `outcome` is being entered in the session's counters
};

// What the counters, and the batch's `settled`, become when the answer is entered. A reader after a crash can
// complete it, however far it got.
typedef struct nsp__batch_outcome {
    uint64_t exported, rejected, unconfirmed;
    uint32_t settled;
    uint32_t discarded; // given up: so many come to the counter, to which the drainer adds too
} nsp__batch_outcome;

// The latest entry of the coverage. It holds as soon as the header's `spans` are these.
typedef struct nsp__latest_coverage {
    uint32_t spans, slot;
    uint64_t position;
} nsp__latest_coverage;

// In shared memory, one for each batch of the pool. Written by the current owner of the batch.
typedef struct nsp__batch_header {
    uint32_t state; // NSP__BATCH_...; stored after the other members (BH1), for a reader of a copy (BH2)
    uint32_t spans;
    uint64_t data_offset; // where the batch's bytes begin in the file `batches`; 0: nothing was ever exported
    uint64_t capacity, head, length;
    uint64_t sequence; // the order of closing, from 1
    uint32_t attempts; // attempts to send
    uint32_t in_doubt; // 1: the receiver may have accepted some attempt
    uint32_t encoding; // nsp_encoding, and perhaps NSP__BATCH_UNCLOSED
    uint32_t settled;  // so many of the spans, the first ones, are settled and in the counters
    nsp__latest_coverage latest_coverage;
    nsp__batch_outcome outcome;
} nsp__batch_header;

// In a header's `encoding`: its drainer died while it was filling the batch, and the next one has taken it
// over as it was. What the exporter writes when it closes a batch is missing, and a reader has to do without,
// as in a batch that is FILLING.
#define NSP__BATCH_UNCLOSED UINT32_C(0x80000000)

static inline bool nsp__batch_unclosed(const nsp__batch_header *header)
{
    return header->state == NSP__BATCH_FILLING || (header->encoding & NSP__BATCH_UNCLOSED) != 0;
}

static inline uint32_t nsp__batch_encoding(const nsp__batch_header *header)
{
    return header->encoding & ~NSP__BATCH_UNCLOSED;
}

// A batch of NSP_ENCODING_LIST begins with a table of this many parts, one for each exporter of the list.
// What lies in a part is a batch of its own, with all the spans. An offset of 0: there is no such part.
enum { NSP__BATCH_PARTS_MAX = 8 };

typedef struct nsp__batch_part {
    uint64_t offset;       // of the part's bytes, from the beginning of the whole batch's
    uint64_t head, length; // as those of a batch, from `offset` on
    uint32_t encoding;     // nsp_encoding
    uint32_t reserved;
} nsp__batch_part;

// Where the parts of the file lie, for a configuration.
typedef struct nsp__batches_layout {
    uint64_t coverage_offset, coverage_stride; // one word for each of config->threads, for each batch
    uint64_t data_offset;                      // of the first batch; they are config->batch_bytes apart
    uint64_t bytes;                            // of the whole file
} nsp__batches_layout;

static inline nsp__batches_layout nsp__batches_layout_of(const nsp_config *config)
{
    nsp__batches_layout layout;
    layout.coverage_offset = (config->batches * sizeof(nsp__batch_header) + 127) & ~(uint64_t)127;
    layout.coverage_stride = (config->threads * sizeof(uint64_t) + 127) & ~(uint64_t)127;
    layout.data_offset =
        (layout.coverage_offset + config->batches * layout.coverage_stride + 4095) & ~(uint64_t)4095;
    layout.bytes = layout.data_offset + (uint64_t)config->batches * config->batch_bytes;
    return layout;
}

#endif
