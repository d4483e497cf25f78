// SPDX-License-Identifier: Apache-2.0
//
// Accounts: what they own, and what of it is promised to open orders. No order can spend what is not there: a buyer's
// cash and a seller's units are reserved before the order reaches the book. One thread, no allocation after init.
#ifndef ENGINE_ACCOUNT_H
#define ENGINE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/instrument.h"
#include "engine/order.h"

struct account {
    int64_t cash; // ticks x units, of all that it owns
    int64_t cash_reserved;
    int64_t units[INSTRUMENTS];
    int64_t units_reserved[INSTRUMENTS];
};

struct accounts {
    struct account *all; // account number n is all[n - 1]
    uint32_t count;
    struct account start; // the sum of all at the start
};

// Opens accounts 1 to count with the same start for each, but every eighth is poor, so that rejections happen.
bool accounts_init(struct accounts *accounts, uint32_t count);
void accounts_free(struct accounts *accounts);

// NULL for a number that is no account's.
struct account *account_find(const struct accounts *accounts, uint32_t number);

// Sets aside what the order may cost. REASON_NONE, or why not; then nothing has changed.
enum reason account_reserve(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                            uint32_t quantity);

// Frees what `quantity` units of the order had set aside.
void account_release(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                     uint32_t quantity);

// Moves cash and units of one trade at `price` between buyer and seller, out of what their orders had set aside at
// their own limits. Both may be the same account.
void account_settle(struct account *buyer, uint32_t buyer_limit, struct account *seller, unsigned instrument,
                    uint32_t price, uint32_t quantity);

// True if the accounts together own what they owned at the start, of cash and of each instrument (no trade changes
// that), no account owes or has promised more than it owns, and, with nothing open, nothing is left set aside.
bool accounts_sound(const struct accounts *accounts, bool nothing_open);

#endif
