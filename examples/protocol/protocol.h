// SPDX-License-Identifier: Apache-2.0
//
// The protocol between engine and feed, byte by byte; examples/README.md has it as tables.
//
// A stream of messages over TCP or a Unix socket. Each message begins with its whole length, so that one read
// can take many and none needs a delimiter. Integers are little endian. A message is one of the structs
// below, without hidden padding, copied as it is. After the fixed part of an order message comes the sender's
// trace context, packed by nsp_context_pack: no bytes, or at least NSP_CONTEXT_PACKED_MIN bytes.
#ifndef EXAMPLES_PROTOCOL_H
#define EXAMPLES_PROTOCOL_H

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "messages are copied as they are: little endian only");

enum {
    PROTOCOL_VERSION = 1,
    MESSAGE_MAX = 1024, // bytes; a longer message is an error that ends the connection
    SYMBOL_SIZE = 8     // padded with zero bytes
};

enum message_type {
    MESSAGE_NEW_ORDER = 1, // feed to engine
    MESSAGE_CANCEL = 2,    // feed to engine
    MESSAGE_REPORT = 16,   // engine to feed: the only answer to an order message
    MESSAGE_FILL = 17      // engine to feed: a resting order was hit
};

enum side { SIDE_BUY = 1, SIDE_SELL = 2 };

enum time_in_force {
    TIF_DAY = 1,      // what is not filled at once rests in the book
    TIF_IMMEDIATE = 2 // what is not filled at once expires
};

// Each list defines the codes and their texts.
#define RESULT_LIST(X)                                                                                       \
    X(RESTING, 1, "resting")                   /* accepted, nothing filled, rests in the book */             \
    X(PARTIALLY_FILLED, 2, "partially_filled") /* the rest of it rests in the book */                        \
    X(FILLED, 3, "filled")                                                                                   \
    X(EXPIRED, 4, "expired")     /* immediate: what was not filled is gone */                                \
    X(CANCELLED, 5, "cancelled") /* answer to a cancel: leaves is what was taken off the book */             \
    X(REJECTED, 6, "rejected")   /* reason says why */

#define REASON_LIST(X)                                                                                       \
    X(NONE, 0, "none")                                                                                       \
    X(MALFORMED, 1, "malformed message")                                                                     \
    X(UNKNOWN_SYMBOL, 2, "unknown symbol")                                                                   \
    X(PRICE_BAND, 3, "price outside the band")                                                               \
    X(BAD_QUANTITY, 4, "quantity must be positive")                                                          \
    X(UNKNOWN_ACCOUNT, 5, "unknown account")                                                                 \
    X(NO_CASH, 6, "not enough cash")                                                                         \
    X(NO_POSITION, 7, "not enough of the asset")                                                             \
    X(BELOW_LOT, 8, "less than one lot")                                                                     \
    X(DUPLICATE_ID, 9, "order id is in use")                                                                 \
    X(BOOK_FULL, 10, "too many open orders")                                                                 \
    X(UNKNOWN_ORDER, 11, "no such open order")                                                               \
    X(NOT_OWNER, 12, "order belongs to another account")

enum result {
#define RESULT_ENUM(name, code, text) RESULT_##name = code,
    RESULT_LIST(RESULT_ENUM)
#undef RESULT_ENUM
};

enum reason {
#define REASON_ENUM(name, code, text) REASON_##name = code,
    REASON_LIST(REASON_ENUM)
#undef REASON_ENUM
};

struct message_header {
    uint16_t length; // of the whole message, including this header and a trace context
    uint8_t version; // PROTOCOL_VERSION
    uint8_t type;    // enum message_type
};

struct message_new_order {
    struct message_header header;
    uint32_t account;
    uint64_t order_id;        // chosen by the sender; no open order may have it
    uint32_t price;           // ticks
    uint32_t quantity;        // units
    char symbol[SYMBOL_SIZE]; // zero padded, not terminated if it fills the field
    uint8_t side;             // enum side
    uint8_t time_in_force;    // enum time_in_force
    uint8_t reserved[6];      // zero
    // trace context follows
};

struct message_cancel {
    struct message_header header;
    uint32_t account;
    uint64_t order_id;  // of this request
    uint64_t target_id; // of the order to cancel
    // trace context follows
};

struct message_report {
    struct message_header header;
    uint32_t account;
    uint64_t order_id;
    uint64_t value;  // that was filled: sum of price x quantity, in ticks
    uint32_t filled; // units of this order that were filled at once
    uint32_t leaves; // units left in the book; for an expired or cancelled order: units taken off it
    uint32_t fills;  // number of trades
    uint8_t result;  // enum result
    uint8_t reason;  // enum reason, REASON_NONE unless rejected
    uint8_t reserved[2];
};

struct message_fill {
    struct message_header header;
    uint32_t account;  // of the resting order
    uint64_t order_id; // of the resting order
    uint64_t taker_id; // of the order that hit it; its report follows
    uint32_t quantity;
    uint32_t price;
    uint32_t leaves; // units of the resting order still in the book
    uint32_t reserved;
};

_Static_assert(sizeof(struct message_header) == 4, "no hidden padding");
_Static_assert(sizeof(struct message_new_order) == 40, "no hidden padding");
_Static_assert(sizeof(struct message_cancel) == 24, "no hidden padding");
_Static_assert(sizeof(struct message_report) == 40, "no hidden padding");
_Static_assert(sizeof(struct message_fill) == 40, "no hidden padding");

static inline const char *result_text(unsigned result)
{
    switch (result) {
#define RESULT_TEXT(name, code, text)                                                                        \
    case code: return text;
        RESULT_LIST(RESULT_TEXT)
#undef RESULT_TEXT
    default: return "unknown";
    }
}

static inline const char *reason_text(unsigned reason)
{
    switch (reason) {
#define REASON_TEXT(name, code, text)                                                                        \
    case code: return text;
        REASON_LIST(REASON_TEXT)
#undef REASON_TEXT
    default: return "unknown";
    }
}

static inline const char *side_text(unsigned side)
{
    return side == SIDE_BUY ? "buy" : side == SIDE_SELL ? "sell" : "unknown";
}

#endif
