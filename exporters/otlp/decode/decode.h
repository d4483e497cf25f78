// SPDX-License-Identifier: Apache-2.0
//
// Reads spans from batches that our encoders wrote, or began to write. Nothing in them is trusted: a crash may
// have damaged them, or somebody may have made them up. Whatever they contain, only their own bytes are read.
#ifndef NSP_OTLP_DECODE_DECODE_H
#define NSP_OTLP_DECODE_DECODE_H

#include <nanospan/exporter.h>

#include "otlp/decode/record.h"

typedef struct nsp__otlp_decoding {
    const uint8_t *bytes; // what lies between a batch's head and length
    size_t length;
    bool closed;     // false: what close writes may be missing
    uint64_t wanted; // spans
    // Takes a span; false to stop.
    bool (*visit)(void *argument, const nsp__record *record);
    void *argument;
    nsp__made_record made; // created, and with the `intern` that names come from
    uint64_t taken;
} nsp__otlp_decoding;

// Both decode until `wanted` spans are taken, visit returns false, or the bytes are damaged or end.
void nsp__otlp_decode_protobuf(nsp__otlp_decoding *decoding);
void nsp__otlp_decode_json(nsp__otlp_decoding *decoding); // or there is no memory for a copy

// For both: completes the record and hands it out. False: nothing more is to be read.
static inline bool nsp__otlp_decoded(nsp__otlp_decoding *decoding, uint32_t flags)
{
    const nsp__record *record = nsp__made_end(&decoding->made, flags);
    if (record == NULL || !decoding->visit(decoding->argument, record))
        return false;
    return ++decoding->taken < decoding->wanted;
}

// The kind of a record; one that we do not write counts as internal.
static inline uint8_t nsp__otlp_kind(uint64_t number)
{
    return number - 1 <= NSP_KIND_CONSUMER ? (uint8_t)(number - 1) : NSP_KIND_INTERNAL;
}

// The status of a record; one that we do not write counts as unset.
static inline uint8_t nsp__otlp_status(uint64_t number)
{
    return number <= NSP_SPAN_STATUS_ERROR ? (uint8_t)number : NSP_SPAN_STATUS_UNSET;
}

#endif
