// SPDX-License-Identifier: Apache-2.0
//
// The example engine's order book and accounts, compared with an order book that is simple enough to be
// obviously correct: all orders in one array, where the best one is found by looking at each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/account.h"
#include "engine/book.h"
#include "engine/order.h"

enum { CAPACITY = 300, LOW = 1000, ACCOUNTS = 5 };

// The plain book

struct plain_order {
    uint64_t id, arrival;
    uint32_t price, leaves;
    unsigned side;
};

struct plain_trade {
    uint64_t maker_id;
    uint32_t quantity, price, maker_leaves;
};

struct plain_book {
    struct plain_order orders[CAPACITY];
    size_t count;
    uint64_t arrivals;
};

// True if a comes before b in the queue of their side of the book.
static bool plain_before(const struct plain_order *a, const struct plain_order *b)
{
    if (a->price != b->price)
        return a->side == SIDE_BUY ? a->price > b->price : a->price < b->price;
    return a->arrival < b->arrival;
}

static struct plain_order *plain_best(struct plain_book *book, unsigned side)
{
    struct plain_order *best = NULL;
    for (size_t i = 0; i < book->count; i++)
        if (book->orders[i].side == side && (!best || plain_before(&book->orders[i], best)))
            best = &book->orders[i];
    return best;
}

static void plain_remove(struct plain_book *book, struct plain_order *order)
{
    *order = book->orders[--book->count];
}

static struct plain_order *plain_find(struct plain_book *book, uint64_t id)
{
    for (size_t i = 0; i < book->count; i++)
        if (book->orders[i].id == id)
            return &book->orders[i];
    return NULL;
}

static size_t plain_match(struct plain_book *book, struct plain_order *taker, struct plain_trade *trades)
{
    size_t count = 0;
    while (taker->leaves > 0) {
        struct plain_order *maker = plain_best(book, taker->side == SIDE_BUY ? SIDE_SELL : SIDE_BUY);
        if (!maker || (taker->side == SIDE_BUY ? maker->price > taker->price : maker->price < taker->price))
            break;
        uint32_t quantity = maker->leaves < taker->leaves ? maker->leaves : taker->leaves;
        maker->leaves -= quantity;
        taker->leaves -= quantity;
        trades[count++] = (struct plain_trade){maker->id, quantity, maker->price, maker->leaves};
        if (maker->leaves == 0)
            plain_remove(book, maker);
    }
    return count;
}

static uint64_t plain_depth_at(const struct plain_book *book, unsigned side, uint32_t price)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < book->count; i++)
        if (book->orders[i].side == side && book->orders[i].price == price)
            sum += book->orders[i].leaves;
    return sum;
}

// What the tests share

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % bound;
}

struct market {
    struct order_pool pool;
    struct book *book;
    struct fill fills[CAPACITY];
};

static void market_open(struct market *market)
{
    assert_true(order_pool_init(&market->pool, CAPACITY));
    market->book = book_new(LOW);
    assert_non_null(market->book);
}

static void market_close(struct market *market)
{
    free(market->book);
    order_pool_free(&market->pool);
}

static struct order *new_order(struct market *market, uint64_t id, enum side side, uint32_t price,
                               uint32_t quantity)
{
    struct order *order = order_take(&market->pool, id);
    assert_non_null(order);
    order->side = (uint8_t)side;
    order->price = price;
    order->quantity = order->leaves = quantity;
    return order;
}

static struct order *rest(struct market *market, uint64_t id, enum side side, uint32_t price,
                          uint32_t quantity)
{
    struct order *order = new_order(market, id, side, price, quantity);
    book_rest(market->book, order);
    return order;
}

// The tests

static void best_price_first_then_oldest(void **state)
{
    (void)state;
    struct market market;
    market_open(&market);
    rest(&market, 1, SIDE_SELL, 1012, 5);
    rest(&market, 2, SIDE_SELL, 1011, 5);
    rest(&market, 3, SIDE_SELL, 1011, 5);
    rest(&market, 4, SIDE_SELL, 1010, 5);
    struct order *taker = new_order(&market, 5, SIDE_BUY, 1011, 12);
    assert_int_equal(book_match(market.book, taker, market.fills), 3);
    static const struct plain_trade expected[] = {{4, 5, 1010, 0}, {2, 5, 1011, 0}, {3, 2, 1011, 3}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(market.fills[i].maker->id, expected[i].maker_id);
        assert_int_equal(market.fills[i].quantity, expected[i].quantity);
        assert_int_equal(market.fills[i].price, expected[i].price);
        assert_int_equal(market.fills[i].maker_leaves, expected[i].maker_leaves);
    }
    assert_int_equal(taker->leaves, 0);
    assert_int_equal(book_best(market.book, SIDE_SELL)->id, 3);
    market_close(&market);
}

static void a_limit_is_kept(void **state)
{
    (void)state;
    struct market market;
    market_open(&market);
    rest(&market, 1, SIDE_BUY, 1010, 5);
    struct order *taker = new_order(&market, 2, SIDE_SELL, 1011, 5);
    assert_int_equal(book_match(market.book, taker, market.fills), 0);
    assert_int_equal(taker->leaves, 5);
    taker->price = 1010;
    assert_int_equal(book_match(market.book, taker, market.fills), 1);
    assert_null(book_best(market.book, SIDE_BUY));
    market_close(&market);
}

static void removal_keeps_the_queue(void **state)
{
    (void)state;
    struct market market;
    struct order *orders[4];
    market_open(&market);
    for (uint64_t i = 0; i < 4; i++)
        orders[i] = rest(&market, i + 1, SIDE_BUY, 1500, 10);
    book_remove(market.book, orders[1]); // middle
    book_remove(market.book, orders[0]); // oldest
    assert_int_equal(book_best(market.book, SIDE_BUY)->id, 3);
    book_remove(market.book, orders[3]); // newest
    assert_int_equal(book_depth_at(market.book, SIDE_BUY, 1500), 10);
    book_remove(market.book, orders[2]);
    assert_null(book_best(market.book, SIDE_BUY));
    assert_int_equal(book_orders(market.book), 0);
    market_close(&market);
}

static void band_has_two_ends(void **state)
{
    (void)state;
    struct market market;
    market_open(&market);
    assert_false(book_has_price(market.book, LOW - 1));
    assert_true(book_has_price(market.book, LOW));
    assert_true(book_has_price(market.book, LOW + BOOK_LEVELS - 1));
    assert_false(book_has_price(market.book, LOW + BOOK_LEVELS));
    rest(&market, 1, SIDE_BUY, LOW, 1);
    rest(&market, 2, SIDE_SELL, LOW + BOOK_LEVELS - 1, 1);
    assert_int_equal(book_best(market.book, SIDE_BUY)->price, LOW);
    assert_int_equal(book_best(market.book, SIDE_SELL)->price, LOW + BOOK_LEVELS - 1);
    market_close(&market);
}

static void pool_finds_what_it_gave(void **state)
{
    (void)state;
    struct order_pool pool;
    assert_true(order_pool_init(&pool, 3));
    struct order *a = order_take(&pool, 7), *b = order_take(&pool, 8), *c = order_take(&pool, 9);
    assert_non_null(c);
    assert_null(order_take(&pool, 10));
    assert_ptr_equal(order_find(&pool, 8), b);
    order_give(&pool, b);
    assert_null(order_find(&pool, 8));
    assert_ptr_equal(order_find(&pool, 7), a);
    assert_int_equal(pool.used, 2);
    assert_ptr_equal(order_take(&pool, 11), b);
    order_pool_free(&pool);
}

// Both books get the same random orders and cancels, and must produce the same trades and the same queue.
static void like_the_plain_book(void **state)
{
    (void)state;
    static struct plain_book plain;
    static struct plain_trade trades[CAPACITY];
    struct market market;
    uint64_t traded = 0, cancelled = 0, last_id = 0;
    random_state = 20240229;
    market_open(&market);
    for (unsigned round = 0; round < 100000; round++) {
        if ((below(4) == 0 || market.pool.used == CAPACITY) && plain.count > 0) {
            struct plain_order *victim = &plain.orders[below((uint32_t)plain.count)];
            struct order *order = order_find(&market.pool, victim->id);
            assert_non_null(order);
            assert_int_equal(order->leaves, victim->leaves);
            plain_remove(&plain, victim);
            book_remove(market.book, order);
            order_give(&market.pool, order);
            cancelled++;
            continue;
        }
        // Prices meet in the middle. Sometimes one is far away, so that the bitmap has gaps.
        enum side side = below(2) ? SIDE_BUY : SIDE_SELL;
        uint32_t spread = below(10) ? 40 : BOOK_LEVELS / 2;
        uint32_t middle = LOW + BOOK_LEVELS / 2;
        uint32_t price = side == SIDE_BUY ? middle + 8 - below(spread) : middle - 8 + below(spread);
        bool immediate = below(5) == 0;
        uint64_t id = ++last_id;
        struct order *order = new_order(&market, id, side, price, 1 + below(100));
        struct plain_order twin = {id, ++plain.arrivals, price, order->quantity, side};

        size_t count = book_match(market.book, order, market.fills);
        assert_int_equal(count, plain_match(&plain, &twin, trades));
        assert_int_equal(order->leaves, twin.leaves);
        for (size_t i = 0; i < count; i++) {
            const struct fill *fill = &market.fills[i];
            assert_int_equal(fill->maker->id, trades[i].maker_id);
            assert_int_equal(fill->quantity, trades[i].quantity);
            assert_int_equal(fill->price, trades[i].price);
            assert_int_equal(fill->maker_leaves, trades[i].maker_leaves);
            if (fill->maker_leaves == 0)
                order_give(&market.pool, fill->maker);
        }
        traded += count;
        if (order->leaves > 0 && !immediate) {
            book_rest(market.book, order);
            plain.orders[plain.count++] = twin;
        } else {
            order_give(&market.pool, order);
        }

        assert_int_equal(book_orders(market.book), plain.count);
        assert_int_equal(market.pool.used, plain.count);
        for (unsigned k = SIDE_BUY; k <= SIDE_SELL; k++) {
            struct plain_order *expected = plain_best(&plain, k);
            struct order *best = book_best(market.book, (enum side)k);
            assert_int_equal(best ? best->id : 0, expected ? expected->id : 0);
            assert_int_equal(book_depth_at(market.book, (enum side)k, price),
                             plain_depth_at(&plain, k, price));
        }
    }
    assert_true(traded > 10000 && cancelled > 10000);
    while (plain.count > 0) {
        struct order *order = order_find(&market.pool, plain.orders[0].id);
        assert_ptr_equal(plain_find(&plain, order->id), &plain.orders[0]);
        plain_remove(&plain, &plain.orders[0]);
        book_remove(market.book, order);
        order_give(&market.pool, order);
    }
    assert_int_equal(market.book->bids.summary | market.book->asks.summary, 0);
    market_close(&market);
}

static void nobody_spends_what_is_not_there(void **state)
{
    (void)state;
    struct accounts accounts;
    assert_true(accounts_init(&accounts, 8));
    struct account *poor = account_find(&accounts, 8);
    assert_null(account_find(&accounts, 0));
    assert_null(account_find(&accounts, 9));
    uint32_t price = 1000, all = (uint32_t)(poor->cash / price);
    assert_int_equal(account_reserve(poor, SIDE_BUY, 0, price, all + 1), REASON_NO_CASH);
    assert_int_equal(account_reserve(poor, SIDE_BUY, 0, price, all), REASON_NONE);
    assert_int_equal(account_reserve(poor, SIDE_BUY, 0, price, 1), REASON_NO_CASH);
    assert_false(accounts_sound(&accounts, true));
    account_release(poor, SIDE_BUY, 0, price, all);
    uint32_t units = (uint32_t)poor->units[2];
    assert_int_equal(account_reserve(poor, SIDE_SELL, 2, price, units + 1), REASON_NO_POSITION);
    assert_int_equal(account_reserve(poor, SIDE_SELL, 2, price, units), REASON_NONE);
    account_release(poor, SIDE_SELL, 2, price, units);
    assert_true(accounts_sound(&accounts, true));
    poor->cash++; // money from nowhere
    assert_false(accounts_sound(&accounts, true));
    accounts_free(&accounts);
}

// Random trading through the accounts and the book together: cash and units are conserved at every step, and
// a buyer who pays less than the limit gets the difference back.
static void cash_and_units_are_conserved(void **state)
{
    (void)state;
    struct market market;
    struct accounts accounts;
    uint64_t traded = 0, refused = 0;
    random_state = 17;
    market_open(&market);
    assert_true(accounts_init(&accounts, ACCOUNTS));
    accounts.all[0].cash -= 19 * 1000 * 1000 * 1000ll; // one account that runs out of cash
    accounts.start.cash -= 19 * 1000 * 1000 * 1000ll;
    for (uint64_t id = 1; id <= 20000; id++) {
        uint32_t number = 1 + below(ACCOUNTS), price = LOW + 2000 + below(30), quantity = 1 + below(3000);
        enum side side = below(2) ? SIDE_BUY : SIDE_SELL;
        if (market.pool.used == CAPACITY) {
            struct order *oldest =
                book_best(market.book, book_best(market.book, SIDE_BUY) ? SIDE_BUY : SIDE_SELL);
            book_remove(market.book, oldest);
            account_release(account_find(&accounts, oldest->account), oldest->side, 0, oldest->price,
                            oldest->leaves);
            order_give(&market.pool, oldest);
        }
        if (account_reserve(account_find(&accounts, number), side, 0, price, quantity) != REASON_NONE) {
            refused++;
            continue;
        }
        struct order *order = new_order(&market, id, side, price, quantity);
        order->account = number;
        size_t count = book_match(market.book, order, market.fills);
        for (size_t i = 0; i < count; i++) {
            const struct fill *fill = &market.fills[i];
            struct account *ours = account_find(&accounts, number);
            struct account *theirs = account_find(&accounts, fill->maker->account);
            if (side == SIDE_BUY)
                account_settle(ours, price, theirs, 0, fill->price, fill->quantity);
            else
                account_settle(theirs, fill->price, ours, 0, fill->price, fill->quantity);
            if (fill->maker_leaves == 0)
                order_give(&market.pool, fill->maker);
        }
        traded += count;
        if (order->leaves > 0)
            book_rest(market.book, order);
        else
            order_give(&market.pool, order);
        assert_true(accounts_sound(&accounts, market.pool.used == 0));
    }
    assert_true(traded > 1000 && refused > 100);
    for (unsigned side = SIDE_BUY; side <= SIDE_SELL; side++) {
        struct order *order;
        while ((order = book_best(market.book, (enum side)side)) != NULL) {
            book_remove(market.book, order);
            account_release(account_find(&accounts, order->account), side, 0, order->price, order->leaves);
            order_give(&market.pool, order);
        }
    }
    assert_true(accounts_sound(&accounts, true));
    accounts_free(&accounts);
    market_close(&market);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_price_first_then_oldest),    cmocka_unit_test(a_limit_is_kept),
        cmocka_unit_test(removal_keeps_the_queue),         cmocka_unit_test(band_has_two_ends),
        cmocka_unit_test(pool_finds_what_it_gave),         cmocka_unit_test(like_the_plain_book),
        cmocka_unit_test(nobody_spends_what_is_not_there), cmocka_unit_test(cash_and_units_are_conserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
