// SPDX-License-Identifier: Apache-2.0
//
// The exchange-side stream: one record for each accepted order, each trade and each order that left the book,
// in the sequence in which they happened. A reader can rebuild the book from it.
#ifndef ENGINE_DROP_COPY_H
#define ENGINE_DROP_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum drop_event { DROP_ACCEPTED = 1, DROP_TRADE = 2, DROP_CANCELLED = 3, DROP_EXPIRED = 4 };

// Little endian, without hidden padding.
struct drop_record {
    uint64_t sequence; // 1, 2, 3 ...: a gap means that records were lost
    uint64_t order_id; // for a trade: the incoming order
    uint64_t maker_id; // for a trade: the resting order; otherwise 0
    uint32_t account;  // of order_id
    uint32_t price;    // ticks
    uint32_t quantity; // units
    uint16_t instrument;
    uint8_t side;  // of order_id
    uint8_t event; // enum drop_event
};

_Static_assert(sizeof(struct drop_record) == 40, "no hidden padding");

struct drop_copy {
    int fd;
    struct drop_record *records; // not yet written
    size_t capacity, count;
    uint64_t sequence; // of the last record
};

// Opens the file for writing, with room for `capacity` records between two writes. On failure, prints a line
// on standard error and returns false.
bool drop_copy_open(struct drop_copy *copy, const char *path, size_t capacity);
void drop_copy_close(struct drop_copy *copy);

// Adds a record; its sequence number is set here.
void drop_copy_add(struct drop_copy *copy, struct drop_record record);

// Writes the added records, usually with one system call. False if the file cannot be written: trading must
// stop then.
bool drop_copy_write(struct drop_copy *copy);

#endif
