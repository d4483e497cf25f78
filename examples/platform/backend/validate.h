// SPDX-License-Identifier: Apache-2.0
//
// The body of a client's request to trade.
#ifndef PLATFORM_VALIDATE_H
#define PLATFORM_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>

enum { USER_SIZE = 40, SYMBOL_SIZE = 20, SIDE_SIZE = 8 };

struct trade_request {
    char user_id[USER_SIZE];
    char symbol[SYMBOL_SIZE];
    char side[SIDE_SIZE]; // "BUY", "SELL", or "" to follow the signal
    double amount;        // the most to spend, or the value to sell; 0: a share of the balance
    double limit_price;   // 0: near the current price
};

// Reads the body, in a span validate_request. On failure, *problem says what is wrong, and it returns false.
bool validate_request(const char *body, size_t length, struct trade_request *out, char *problem, size_t size);

#endif
