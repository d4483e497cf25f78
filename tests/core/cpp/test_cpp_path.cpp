// SPDX-License-Identifier: Apache-2.0
//
// Declared paths of <nanospan/nanospan.hpp>: what is exported is what the C calls give, and when they end.
#include "core/cpp/twins.hpp"

#include <stdexcept>
#include <thread>
#include <utility>

#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "symbol")                                                                                \
    I64(quantity, "quantity")                                                                                \
    PHASE(check, "check", NSP_PATH_AT_START)                                                                 \
    F64(price, "price")                                                                                      \
    PHASE(submit, "submit")                                                                                  \
    BOOL(filled, "filled")

#define OTHER_PATH(PHASE, I64, F64, STR, BOOL) I64(number, "number")

namespace trading {
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)
}
// As in a header of C.
extern "C" {
NSP_PATH_DECLARE(c_order_path, "c order", ORDER_PATH)
NSP_PATH_DECLARE(other_path, "other", OTHER_PATH)
}

namespace {

using order = nsp::path<trading::order_path>;
using detached_order = nsp::detached_path<trading::order_path>;

static_assert(!std::is_copy_constructible_v<order> && !std::is_move_constructible_v<order>);
static_assert(!std::is_copy_constructible_v<detached_order> && !std::is_copy_assignable_v<detached_order>);
static_assert(std::is_nothrow_move_constructible_v<detached_order> &&
              std::is_nothrow_move_assignable_v<detached_order>);
static_assert(std::is_nothrow_constructible_v<order> && sizeof(order) == sizeof(void *));

template <class Path> void fill(Path &path, std::int64_t quantity)
{
    NSP_PATH_STR(path, symbol, "BTCUSDT", 7);
    path->quantity = quantity;
    path->price = 1.5;
    NSP_PATH_MARK(path, submit);
    path->filled = true;
}

void test_a_path_is_exported_as_in_c(void **)
{
    {
        order path;
        assert_ptr_equal(nsp_span_current(), path.span().get());
        assert_true(path.start() != 0 && path.start() == nsp_path_start(path));
        fill(path, 7);
        path.span().add_event("sent"_name, nsp::attr("venue"_key, "XNAS"));
        path.span().set_status(nsp::span_status::error, "refused");
    }
    c_order_path *c = c_order_path_begin();
    fill(c, 7);
    const nsp_attr venue = nsp_attr_str(NSP_KEY("venue"), "XNAS");
    nsp_span_add_event_with(nsp_path_span(c), NSP_NAME("sent"), 0, &venue, 1);
    nsp_span_set_status(nsp_path_span(c), NSP_SPAN_STATUS_ERROR, "refused");
    c_order_path_end(c);
    assert_null(nsp_span_current());
    capture_settle();
    assert_int_equal(capture_count(), 6);
    assert_same_spans(capture_named("c order"), capture_named("order"));
    assert_int_equal(capture_named("order")->attribute_count, 2);
    for (const char *phase : {"check", "submit"}) {
        const captured_span *found[2] = {};
        for (std::size_t i = 0, at = 0; i < capture_count(); i++)
            if (std::strcmp(capture_at(i)->name, phase) == 0)
                found[at++] = capture_at(i);
        assert_non_null(found[1]);
        assert_same_spans(found[0], found[1]);
        assert_int_equal(found[0]->attribute_count, 1);
    }
    assert_int_equal(nsp::stats().misused, 0);
}

void throwing()
{
    order path;
    path->quantity = 1;
    throw std::runtime_error("thrown");
}

void test_a_path_ends_with_its_scope_or_before(void **)
{
    bool caught = false;
    try {
        throwing();
    } catch (const std::runtime_error &) {
        caught = true;
    }
    assert_true(caught);
    assert_null(nsp_span_current());
    const nsp::ticks start = nsp::now(), end = start + 1000;
    {
        order path(start);
        path.end(end);
        assert_null(path.get());
        assert_null(nsp_span_current());
        path.end();
    }
    capture_settle();
    assert_int_equal(capture_count_named("order"), 2);
    const captured_span *span = capture_at(capture_count() - 1);
    assert_int_equal(span->start_ns, nsp_ticks_to_unix_ns(start));
    assert_int_equal(span->end_ns, nsp_ticks_to_unix_ns(end));
    assert_int_equal(nsp::stats().misused, 0);
}

void test_options(void **)
{
    nsp::context remote;
    assert_int_equal(remote.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), NSP_OK);
    const nsp_link link = {remote.get(), nullptr, 0};
    {
        order path(nsp::path_options()
                       .kind(nsp::kind::consumer)
                       .parent(remote)
                       .links(&link, 1)
                       .status(nsp::span_status::error, "late"));
    }
    capture_settle();
    const captured_span *span = capture_named("order");
    assert_int_equal(span->kind, NSP_KIND_CONSUMER);
    assert_memory_equal(span->parent_id, remote.get().span_id, NSP_SPAN_ID_SIZE);
    assert_int_equal(span->link_count, 1);
    assert_string_equal(span->status_message, "late");
}

void test_a_detached_path_moves(void **)
{
    detached_order path;
    assert_null(nsp_span_current());
    fill(path, 7);
    std::thread worker([path = std::move(path)]() mutable {
        path->quantity = 8;
        detached_order mine = std::move(path);
        assert_null(path.get()); // NOLINT: what is left is specified
        path.end();
    });
    worker.join();
    assert_null(path.get()); // NOLINT
    capture_settle();
    assert_string_equal(captured_text(capture_named("order"), "quantity"), "8");
    detached_order one, two(nsp::path_options().kind(nsp::kind::server));
    one->quantity = 1;
    one = std::move(two); // ends what it was
    detached_order &same = one;
    one = std::move(same); // keeps it
    capture_settle();
    assert_int_equal(capture_count_named("order"), 2);
    one.end();
    capture_settle();
    assert_int_equal(capture_count_named("order"), 3);
    assert_int_equal(nsp::stats().misused, 0);
}

void test_paths_and_spans_nest(void **)
{
    {
        nsp::span root("root"_name);
        order path;
        nsp::span check("in check"_name);
        check.end();
        NSP_PATH_MARK(path, submit);
        nsp::path<other_path> other;
        nsp::span inner("inner"_name);
    }
    capture_settle();
    assert_true(captured_child_of(capture_named("order"), capture_named("root")));
    assert_true(captured_child_of(capture_named("in check"), capture_named("check")));
    assert_true(captured_child_of(capture_named("other"), capture_named("submit")));
    assert_int_equal(nsp::stats().misused, 0);
}

void test_a_path_that_is_not_recorded(void **)
{
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    {
        order path;
        fill(path, 1);
        assert_int_equal(path.start(), 0);
        assert_false(path.span().recording());
        detached_order detached;
        fill(detached, 1);
        detached_order moved = std::move(detached);
    }
    assert_int_equal(nsp::shutdown(std::chrono::seconds(60)), NSP_OK);
    {
        order path;
        fill(path, 1);
        detached_order detached;
        fill(detached, 1);
    }
    capture_begin(1);
    assert_int_equal(capture_count(), 0);
}

} // namespace

#define TEST(function) cmocka_unit_test_setup_teardown(function, capture_sampled, capture_reset)

int main()
{
    const CMUnitTest tests[] = {
        TEST(test_a_path_is_exported_as_in_c),
        TEST(test_a_path_ends_with_its_scope_or_before),
        TEST(test_options),
        TEST(test_a_detached_path_moves),
        TEST(test_paths_and_spans_nest),
        TEST(test_a_path_that_is_not_recorded),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
