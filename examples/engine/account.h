// SPDX-License-Identifier: Apache-2.0
//
// Accounts: what they own, and how much of it is reserved for open orders. No order can spend more than its
// account has: a buyer's cash and a seller's units are reserved before the order reaches the book.
// Single-threaded; no allocation after init.
#ifndef ENGINE_ACCOUNT_H
#define ENGINE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/instrument.h"
#include "engine/order.h"

struct account {
    int64_t cash; // everything it owns, reserved or not; ticks x units
    int64_t cash_reserved;
    int64_t units[INSTRUMENTS];
    int64_t units_reserved[INSTRUMENTS];
};

struct accounts {
    struct account *all; // account number n is all[n - 1]
    uint32_t count;
    struct account start; // the sum of all accounts at the start
};

// Opens accounts 1 to count, all with the same balance, except that every eighth is poor, so that rejections
// happen.
bool accounts_init(struct accounts *accounts, uint32_t count);
void accounts_free(struct accounts *accounts);

// NULL if there is no account with this number.
struct account *account_find(const struct accounts *accounts, uint32_t number);

// Reserves what the order may cost. Returns REASON_NONE, or why it cannot; then nothing has changed.
enum reason account_reserve(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                            uint32_t quantity);

// Releases what was reserved for `quantity` units of the order.
void account_release(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                     uint32_t quantity);

// Moves the cash and units of one trade at `price` between buyer and seller, out of what their orders had
// reserved at their own limits. Both may be the same account.
void account_settle(struct account *buyer, uint32_t buyer_limit, struct account *seller, unsigned instrument,
                    uint32_t price, uint32_t quantity);

// True if all accounts together own as much cash and as many units of each instrument as at the start (trades
// do not change that), no reservation is negative or exceeds what its account owns, and, if no order is open,
// nothing is reserved.
bool accounts_sound(const struct accounts *accounts, bool nothing_open);

#endif
