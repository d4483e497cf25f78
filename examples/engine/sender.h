// SPDX-License-Identifier: Apache-2.0
#ifndef ENGINE_SENDER_H
#define ENGINE_SENDER_H

#include <nanospan/nanospan.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/protocol.h"

// The bytes of an order message without the context of the sender's span, which may follow.
static inline size_t sender_fixed(const uint8_t *message)
{
    struct message_header header;
    memcpy(&header, message, sizeof header);
    return header.type == MESSAGE_CANCEL ? sizeof(struct message_cancel) : sizeof(struct message_new_order);
}

static inline bool sender_has_context(const uint8_t *message, size_t length)
{
    return length > sender_fixed(message);
}

// Reads it. False if there is none.
static inline bool sender_context(const uint8_t *message, size_t length, nsp_context *sender)
{
    size_t fixed = sender_fixed(message);
    return length > fixed && nsp_context_unpack(sender, message + fixed, length - fixed) == NSP_OK;
}

#endif
