// SPDX-License-Identifier: Apache-2.0
//
// An order file in memory: CSV with the columns kind,account,symbol,side,price,quantity,target. The kind is
// limit, immediate or cancel. A cancel has only an account and a target, which is the number of an earlier
// line (the first line after the heading is 1). Lines that begin with # are comments.
#ifndef FEED_ORDER_FILE_H
#define FEED_ORDER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/protocol.h"

struct order_line {
    bool cancel;
    uint8_t side, time_in_force;
    char symbol[SYMBOL_SIZE];
    uint32_t account, price, quantity;
    uint32_t target; // for a cancel: a line number
};

struct order_file {
    struct order_line *lines;
    size_t count;
};

// Reads a file. On failure, prints a line on standard error that says what is wrong and where, and returns
// false. order_file_free frees it.
bool order_file_read(struct order_file *file, const char *path);
void order_file_free(struct order_file *file);

#endif
