// SPDX-License-Identifier: Apache-2.0
//
// A non-blocking connection that carries length-prefixed messages, with one buffer for each direction.
// Single-threaded; no allocation after stream_open.
#ifndef EXAMPLES_STREAM_H
#define EXAMPLES_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    int fd; // -1: closed
    uint8_t *in, *out;
    size_t in_size, in_begin, in_end;    // bytes in [in_begin, in_end) were received and not yet taken
    size_t out_size, out_begin, out_end; // bytes in [out_begin, out_end) were put and not yet sent
};

enum stream_event { STREAM_IDLE, STREAM_DATA, STREAM_CLOSED };

// Allocates both buffers and touches all of their pages; false if there is no memory. stream_free frees them.
bool stream_alloc(struct stream *stream, size_t in_size, size_t out_size);
void stream_free(struct stream *stream);

// Takes over a connected socket and makes it non-blocking; the buffers start empty.
void stream_open(struct stream *stream, int fd);
void stream_close(struct stream *stream);

// Receives what has arrived, as much as fits, with one recv.
enum stream_event stream_receive(struct stream *stream);

// The next whole message, or NULL if there is none. It stays valid until the next stream_receive. Bytes that
// cannot be a message set *broken: the stream has lost its framing and must be closed.
const uint8_t *stream_next(struct stream *stream, size_t *length, bool *broken);

// Room for a message of `length` bytes, which the caller fills in; NULL if the buffer is full.
void *stream_put(struct stream *stream, size_t length);
size_t stream_room(struct stream *stream);
size_t stream_pending(const struct stream *stream);

// Sends as much as the socket takes. False: the connection is lost.
bool stream_flush(struct stream *stream);

#endif
