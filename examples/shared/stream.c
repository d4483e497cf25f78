// SPDX-License-Identifier: Apache-2.0
#include "shared/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/protocol.h"

bool stream_alloc(struct stream *stream, size_t in_size, size_t out_size)
{
    *stream = (struct stream){.fd = -1, .in_size = in_size, .out_size = out_size};
    stream->in = malloc(in_size);
    stream->out = malloc(out_size);
    if (stream->in == NULL || stream->out == NULL) {
        stream_free(stream);
        return false;
    }
    memset(stream->in, 0, in_size);
    memset(stream->out, 0, out_size);
    return true;
}

void stream_free(struct stream *stream)
{
    stream_close(stream);
    free(stream->in);
    free(stream->out);
    stream->in = stream->out = NULL;
}

void stream_open(struct stream *stream, int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    stream->fd = fd;
    stream->in_begin = stream->in_end = 0;
    stream->out_begin = stream->out_end = 0;
}

void stream_close(struct stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

enum stream_event stream_receive(struct stream *stream)
{
    if (stream->in_begin > 0) { // at most part of one message is left: move it to the front
        memmove(stream->in, stream->in + stream->in_begin, stream->in_end - stream->in_begin);
        stream->in_end -= stream->in_begin;
        stream->in_begin = 0;
    }
    if (stream->in_end == stream->in_size)
        return STREAM_DATA;
    ssize_t got = recv(stream->fd, stream->in + stream->in_end, stream->in_size - stream->in_end, 0);
    if (got > 0) {
        stream->in_end += (size_t)got;
        return STREAM_DATA;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return STREAM_IDLE;
    return STREAM_CLOSED;
}

const uint8_t *stream_next(struct stream *stream, size_t *length, bool *broken)
{
    struct message_header header;
    size_t available = stream->in_end - stream->in_begin;
    if (available < sizeof header)
        return NULL;
    memcpy(&header, stream->in + stream->in_begin, sizeof header);
    if (header.length < sizeof header || header.length > MESSAGE_MAX || header.version != PROTOCOL_VERSION) {
        *broken = true;
        return NULL;
    }
    if (available < header.length)
        return NULL;
    const uint8_t *message = stream->in + stream->in_begin;
    stream->in_begin += header.length;
    *length = header.length;
    return message;
}

size_t stream_room(struct stream *stream)
{
    if (stream->out_begin == stream->out_end)
        stream->out_begin = stream->out_end = 0;
    return stream->out_size - stream->out_end;
}

size_t stream_pending(const struct stream *stream)
{
    return stream->out_end - stream->out_begin;
}

void *stream_put(struct stream *stream, size_t length)
{
    if (stream_room(stream) < length)
        return NULL;
    void *room = stream->out + stream->out_end;
    stream->out_end += length;
    return room;
}

bool stream_flush(struct stream *stream)
{
    while (stream->out_begin < stream->out_end) {
        ssize_t sent = send(stream->fd, stream->out + stream->out_begin, stream->out_end - stream->out_begin,
                            MSG_NOSIGNAL);
        if (sent > 0)
            stream->out_begin += (size_t)sent;
        else if (sent < 0 && errno == EINTR)
            continue;
        else
            return sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
    return true;
}
