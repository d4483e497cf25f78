// SPDX-License-Identifier: Apache-2.0
#include "engine/account.h"

#include <stdlib.h>
#include <string.h>

static struct account sum_of(const struct accounts *accounts)
{
    struct account sum = {0};
    for (uint32_t i = 0; i < accounts->count; i++) {
        sum.cash += accounts->all[i].cash;
        for (unsigned k = 0; k < INSTRUMENTS; k++)
            sum.units[k] += accounts->all[i].units[k];
    }
    return sum;
}

bool accounts_init(struct accounts *accounts, uint32_t count)
{
    *accounts = (struct accounts){.all = calloc(count, sizeof(struct account)), .count = count};
    if (accounts->all == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct account *account = &accounts->all[i];
        int64_t share = i % 8 == 7 ? 1 : 200;
        account->cash = share * 100 * 1000 * 1000;
        for (unsigned k = 0; k < INSTRUMENTS; k++)
            account->units[k] = share * 20 * (int64_t)instruments[k].lot;
    }
    accounts->start = sum_of(accounts);
    return true;
}

void accounts_free(struct accounts *accounts)
{
    free(accounts->all);
    *accounts = (struct accounts){0};
}

struct account *account_find(const struct accounts *accounts, uint32_t number)
{
    return number >= 1 && number <= accounts->count ? &accounts->all[number - 1] : NULL;
}

static int64_t cost(uint32_t price, uint32_t quantity)
{
    return (int64_t)price * (int64_t)quantity;
}

enum reason account_reserve(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                            uint32_t quantity)
{
    if (side == SIDE_BUY) {
        if (account->cash - account->cash_reserved < cost(price, quantity))
            return REASON_NO_CASH;
        account->cash_reserved += cost(price, quantity);
    } else {
        if (account->units[instrument] - account->units_reserved[instrument] < quantity)
            return REASON_NO_POSITION;
        account->units_reserved[instrument] += quantity;
    }
    return REASON_NONE;
}

void account_release(struct account *account, unsigned side, unsigned instrument, uint32_t price,
                     uint32_t quantity)
{
    if (side == SIDE_BUY)
        account->cash_reserved -= cost(price, quantity);
    else
        account->units_reserved[instrument] -= quantity;
}

void account_settle(struct account *buyer, uint32_t buyer_limit, struct account *seller, unsigned instrument,
                    uint32_t price, uint32_t quantity)
{
    account_release(buyer, SIDE_BUY, instrument, buyer_limit, quantity);
    account_release(seller, SIDE_SELL, instrument, 0, quantity);
    buyer->cash -= cost(price, quantity);
    seller->cash += cost(price, quantity);
    buyer->units[instrument] += quantity;
    seller->units[instrument] -= quantity;
}

bool accounts_sound(const struct accounts *accounts, bool nothing_open)
{
    struct account sum = sum_of(accounts);
    if (memcmp(&sum, &accounts->start, sizeof sum) != 0)
        return false;
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct account *account = &accounts->all[i];
        if (account->cash_reserved < 0 || account->cash_reserved > account->cash ||
            (nothing_open && account->cash_reserved != 0))
            return false;
        for (unsigned k = 0; k < INSTRUMENTS; k++)
            if (account->units_reserved[k] < 0 || account->units_reserved[k] > account->units[k] ||
                (nothing_open && account->units_reserved[k] != 0))
                return false;
    }
    return true;
}
