// SPDX-License-Identifier: Apache-2.0
//
// Batches that a session holds, turned back into records, so that they can be exported anew: by an exporter
// of another encoding, or together with other spans.
#ifndef NSP_OUTSIDE_BATCH_DECODE_H
#define NSP_OUTSIDE_BATCH_DECODE_H

#include <nanospan/exporter.h>

// What to decode. Nothing of the bytes is trusted.
typedef struct nsp__batch_decoding {
    uint32_t encoding;    // nsp_encoding, of the batch's header
    bool closed;          // false: it was still being filled, and what close writes may be missing
    const uint8_t *bytes; // of the batch, from its beginning; they stay as they are
    size_t size;          // how many there are: at least `length`, and for a list the batch's capacity
    size_t head, length;  // of the batch's header: what is between them was written
    uint32_t spans;       // decodes this many; more may have been begun in a batch that was being filled
    // Returns the name of a text of any bytes and any length above 0. A text that is longer than a name may
    // be is to be cut; if there is no room for it, the result is NSP_NAME_OVERFLOW.
    nsp_name (*intern)(void *argument, const char *text, size_t length);
    // Takes one span: a record with items as in a ring, valid until visit returns. Its ticks are nanoseconds
    // since 1970, so that a clock map that is the identity converts them. It may be larger than a record of
    // the session, up to 256 KiB: texts take more room than they had before invalid UTF-8 was replaced.
    // Returns false to stop; then it has not taken the span.
    bool (*visit)(void *argument, const nsp__record *record);
    void *argument;
} nsp__batch_decoding;

// False: every exporter that this batch was written for has an encoding of its own, so only it can send it,
// or a list's table is damaged, or libnanospan, which knows the encodings, is not there.
bool nsp__batch_decodable(const nsp__batch_decoding *decoding);

// Decodes, and returns the number of spans that visit took. If that is fewer than `spans` and visit did not
// stop it, the bytes are damaged from there on, the batch is not decodable, or there was no memory. Takes 256
// KiB of memory, and with JSON as much as the batch has. Thread safe.
uint64_t nsp__batch_decode(const nsp__batch_decoding *decoding);

#endif
