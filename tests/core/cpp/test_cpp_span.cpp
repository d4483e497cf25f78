// SPDX-License-Identifier: Apache-2.0
//
// Spans of <nanospan/nanospan.hpp>: when they begin and end, what they are exported as, and that this is what the C
// calls give.
#include "core/cpp/twins.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

static_assert(!std::is_copy_constructible_v<nsp::span> && !std::is_move_constructible_v<nsp::span>);
static_assert(!std::is_copy_assignable_v<nsp::span> && !std::is_move_assignable_v<nsp::span>);
static_assert(!std::is_copy_constructible_v<nsp::detached_span> &&
              !std::is_copy_assignable_v<nsp::detached_span>);
static_assert(std::is_nothrow_move_constructible_v<nsp::detached_span>);
static_assert(std::is_nothrow_move_assignable_v<nsp::detached_span>);
static_assert(std::is_nothrow_swappable_v<nsp::detached_span>);
static_assert(std::is_nothrow_destructible_v<nsp::span> &&
              std::is_nothrow_default_constructible_v<nsp::detached_span>);
static_assert(sizeof(nsp::span) == sizeof(nsp_span *) && sizeof(nsp::detached_span) == sizeof(nsp_span *));

// ---- scopes ----

void test_a_span_ends_with_its_scope(void **)
{
    {
        nsp::span root("root"_name);
        assert_true(root.recording() && root.start() != 0);
        assert_ptr_equal(nsp_span_current(), root.get());
        {
            nsp::span child("child"_name);
            assert_ptr_equal(nsp::current().get(), child.get());
        }
        assert_ptr_equal(nsp_span_current(), root.get());
    }
    assert_null(nsp_span_current());
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_true(captured_child_of(capture_named("child"), capture_named("root")));
}

void throwing()
{
    nsp::span span("throwing"_name);
    throw std::runtime_error("thrown");
}

void test_a_span_ends_when_an_exception_passes(void **)
{
    {
        nsp::span root("root"_name);
        bool caught = false;
        try {
            throwing();
        } catch (const std::runtime_error &) {
            caught = true;
        }
        assert_true(caught);
        assert_ptr_equal(nsp_span_current(), root.get());
    }
    capture_settle();
    assert_true(captured_child_of(capture_named("throwing"), capture_named("root")));
    assert_int_equal(nsp::stats().misused, 0);
}

nsp::span made()
{
    return nsp::span("made"_name);
}

void test_a_function_returns_a_span(void **)
{
    {
        nsp::span span = made();
        assert_ptr_equal(nsp_span_current(), span.get());
        std::optional<nsp::span> maybe;
        maybe.emplace("maybe"_name);
        assert_ptr_equal(nsp_span_current(), maybe->get());
        maybe.reset();
        const auto owned = std::make_unique<nsp::span>("owned"_name);
        assert_ptr_equal(nsp_span_current(), owned->get());
    }
    capture_settle();
    assert_int_equal(capture_count(), 3);
    assert_true(captured_child_of(capture_named("maybe"), capture_named("made")));
    assert_true(captured_child_of(capture_named("owned"), capture_named("made")));
    assert_int_equal(nsp::stats().misused, 0);
}

void test_a_span_that_has_ended_is_inert(void **)
{
    {
        nsp::span root("root"_name);
        nsp::span span("span"_name);
        span.end();
        assert_null(span.get());
        assert_ptr_equal(nsp_span_current(), root.get());
        span.end();
        span.end(nsp::now());
        span.next("never"_name);
        span.set("late"_key, 1);
        span.add_event("late"_name);
        span.set_status(nsp::span_status::error, "late");
        span.set_name("late"_name);
        assert_false(span.recording());
        assert_int_equal(span.start(), 0);
        // As NULL in C, it stands for the current span where an identity is wanted.
        assert_memory_equal(&span.context().get(), &root.context().get(), sizeof(nsp_context));
    }
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_int_equal(capture_named("span")->attribute_count, 0);
    assert_int_equal(nsp::stats().misused, 0);
}

void test_readings(void **)
{
    const nsp::ticks first = nsp::now(), second = first + 1000, third = second + 1000;
    {
        nsp::span root("root"_name, first);
        assert_int_equal(root.start(), first);
        nsp::span phase("one"_name, root.start());
        phase.next("two"_name, second);
        phase.next("three"_name);
        phase.end();
        root.end(third);
    }
    capture_settle();
    const captured_span *root = capture_named("root"), *one = capture_named("one"),
                        *two = capture_named("two"), *three = capture_named("three");
    assert_int_equal(root->start_ns, nsp_ticks_to_unix_ns(first));
    assert_int_equal(root->end_ns, nsp_ticks_to_unix_ns(third));
    assert_int_equal(one->start_ns, root->start_ns);
    assert_int_equal(one->end_ns, nsp_ticks_to_unix_ns(second));
    assert_int_equal(two->start_ns, one->end_ns);
    assert_int_equal(three->start_ns, two->end_ns);
    for (const captured_span *phase : {one, two, three})
        assert_true(captured_child_of(phase, root));
    assert_int_equal(nsp::stats().misused, 0);
}

void test_next_of_a_root_is_a_root(void **)
{
    nsp::span span("first"_name);
    span.next("second"_name);
    span.end();
    capture_settle();
    const captured_span *first = capture_named("first"), *second = capture_named("second");
    assert_int_equal(first->end_ns, second->start_ns);
    assert_memory_not_equal(first->trace_id, second->trace_id, NSP_TRACE_ID_SIZE);
}

// ---- what is exported ----

void test_everything_as_in_c(void **)
{
    nsp::context linked;
    assert_int_equal(linked.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ot=th:8,v=1"),
                     NSP_OK);
    const captured_span *span = assert_twins(
        [&](nsp_span *c) {
            nsp_span_set_str(c, NSP_KEY("symbol"), "BTCUSDT");
            nsp_span_set_i64(c, NSP_KEY("quantity"), 100);
            nsp_span_set_i64(c, NSP_KEY("quantity"), 200); // again
            nsp_span_add_event(c, NSP_NAME("plain"));
            const nsp_attr attributes[] = {nsp_attr_str(NSP_KEY("venue"), "XNAS"),
                                           nsp_attr_f64(NSP_KEY("price"), 1.5),
                                           nsp_attr_bool(NSP_KEY("maker"), true)};
            nsp_span_add_event_with(c, NSP_NAME("sent"), 0, attributes, 3);
            nsp_span_add_link(c, &linked.get());
            nsp_span_add_link_with(c, &linked.get(), attributes, 2);
            const nsp_context invalid = {};
            nsp_span_add_link(c, &invalid);
            nsp_span_set_status(c, NSP_SPAN_STATUS_ERROR, "refused");
        },
        [&](const nsp::span &cpp) {
            cpp.set("symbol"_key, "BTCUSDT");
            cpp.set("quantity"_key, 100);
            cpp.set("quantity"_key, 200);
            cpp.add_event("plain"_name);
            cpp.add_event("sent"_name, nsp::attr("venue"_key, "XNAS"), nsp::attr("price"_key, 1.5),
                          nsp::attr("maker"_key, true));
            cpp.add_link(linked);
            cpp.add_link(linked, nsp::attr("venue"_key, std::string("XNAS")), nsp::attr("price"_key, 1.5f));
            cpp.add_link(nsp::context());
            cpp.set_status(nsp::span_status::error, std::string("refused"));
        });
    assert_int_equal(span->event_count, 2);
    assert_int_equal(span->link_count, 2);
    assert_int_equal(span->links[1].attribute_count, 2);
    assert_string_equal(span->status_message, "refused");
}

void test_the_limits_are_those_of_c(void **)
{
    const captured_span *span = assert_twins(
        [](nsp_span *c) {
            for (int i = 0; i < 200; i++) {
                const std::string key = "key" + std::to_string(i);
                nsp_span_set_i64(c, nsp_intern(key.data(), key.size()), i);
                nsp_span_add_event(c, NSP_NAME("event"));
            }
        },
        [](const nsp::span &cpp) {
            for (int i = 0; i < 200; i++) {
                cpp.set(nsp::name::intern("key" + std::to_string(i)), i);
                cpp.add_event("event"_name);
            }
        });
    assert_true(span->dropped_attributes != 0 && span->dropped_events != 0);
}

void test_events_have_readings(void **)
{
    const nsp::ticks at = nsp::now();
    {
        nsp::span span("span"_name);
        span.add_event_at("event"_name, at);
        span.add_event_at("event"_name, at + 10, nsp::attr("number"_key, 1));
    }
    capture_settle();
    const captured_span *span = capture_named("span");
    assert_int_equal(span->events[0].time_ns, nsp_ticks_to_unix_ns(at));
    assert_int_equal(span->events[1].time_ns, nsp_ticks_to_unix_ns(at + 10));
    assert_int_equal(span->events[1].attribute_count, 1);
}

void test_a_span_gets_another_name(void **)
{
    {
        nsp::span span("early"_name);
        span.set_name("late"_name);
    }
    capture_settle();
    assert_int_equal(capture_count_named("early"), 0);
    assert_int_equal(capture_count_named("late"), 1);
}

void test_options(void **)
{
    nsp::context remote;
    assert_int_equal(remote.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), NSP_OK);
    const nsp_link link = {remote.get(), nullptr, 0};
    const nsp::ticks start = nsp::now();
    {
        nsp::span root("root"_name);
        nsp::span server("server"_name,
                         nsp::options().kind(nsp::kind::server).parent(remote).start(start).links(&link, 1));
        nsp::span other = nsp::span::root("other"_name);
        nsp::span under("under"_name, nsp::options().kind(nsp::kind::client));
    }
    capture_settle();
    const captured_span *server = capture_named("server"), *other = capture_named("other"),
                        *under = capture_named("under");
    assert_int_equal(server->kind, NSP_KIND_SERVER);
    assert_memory_equal(server->trace_id, remote.get().trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(server->parent_id, remote.get().span_id, NSP_SPAN_ID_SIZE);
    assert_true(server->parent_remote);
    assert_int_equal(server->start_ns, nsp_ticks_to_unix_ns(start));
    assert_int_equal(server->link_count, 1);
    assert_memory_not_equal(other->trace_id, capture_named("root")->trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_not_equal(other->trace_id, server->trace_id, NSP_TRACE_ID_SIZE);
    assert_int_equal(under->kind, NSP_KIND_CLIENT);
    assert_true(captured_child_of(under, other));
}

// ---- with C ----

void test_spans_change_hands_with_c(void **)
{
    {
        nsp::span adopted = nsp::span::adopt(nsp_span_begin(NSP_NAME("begun in C")));
        nsp::span released("ended in C"_name);
        nsp_span *handle = released.release();
        assert_null(released.get());
        nsp_span_end(handle);
        nsp_span_set_i64(adopted.get(), NSP_KEY("by C"), 1);
        nsp::span_ref(adopted.get()).set("by reference"_key, 2);
        nsp::current().set("by current"_key, 3);
    }
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_int_equal(capture_named("begun in C")->attribute_count, 3);
    assert_int_equal(nsp::stats().misused, 0);
}

// ---- detached spans ----

void test_a_detached_span_moves(void **)
{
    nsp::detached_span none;
    assert_null(none.get());
    none.end();
    {
        nsp::detached_span one("one"_name);
        assert_null(nsp_span_current());
        nsp_span *const handle = one.get();
        nsp::detached_span two(std::move(one));
        assert_null(one.get()); // NOLINT: what is left is specified
        assert_ptr_equal(two.get(), handle);
        one.set("late"_key, 1);
        one.end();
        one = std::move(two);
        assert_null(two.get()); // NOLINT
        nsp::detached_span &same = one;
        one = std::move(same); // keeps it
        assert_ptr_equal(one.get(), handle);
        capture_settle();
        assert_int_equal(capture_count(), 0);
        nsp::detached_span other("other"_name);
        swap(one, other);
        one.set("other"_key, true);
        one = std::move(other); // ends what it was
        capture_settle();
        assert_int_equal(capture_count(), 1);
        assert_string_equal(captured_text(capture_named("other"), "other"), "true");
    }
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_int_equal(capture_named("one")->attribute_count, 0);
    assert_int_equal(nsp::stats().misused, 0);
}

void test_a_detached_span_goes_to_another_thread(void **)
{
    nsp::detached_span job;
    {
        nsp::span root("root"_name);
        job = nsp::detached_span("job"_name, nsp::options().kind(nsp::kind::producer));
    }
    std::thread worker([job = std::move(job)]() mutable {
        {
            const nsp::span_scope scope = job.enter();
            nsp::span step("step"_name);
            {
                const nsp::span_scope again = job.enter(); // entries nest
                nsp::span inner("inner"_name);
            }
        }
        assert_null(nsp_span_current());
        nsp::span apart("apart"_name);
        job.set("done"_key, true);
    });
    worker.join();
    capture_settle();
    const captured_span *job_span = capture_named("job");
    assert_true(captured_child_of(job_span, capture_named("root")));
    assert_true(captured_child_of(capture_named("step"), job_span));
    assert_true(captured_child_of(capture_named("inner"), job_span));
    assert_memory_not_equal(capture_named("apart")->trace_id, job_span->trace_id, NSP_TRACE_ID_SIZE);
    assert_int_equal(job_span->kind, NSP_KIND_PRODUCER);
    assert_string_equal(captured_text(job_span, "done"), "true");
    assert_int_equal(nsp::stats().misused, 0);
}

void test_detached_spans_in_containers(void **)
{
    std::vector<nsp::detached_span> spans;
    for (int i = 0; i < 100; i++) {
        spans.emplace_back("pooled"_name); // moves the others, when there is no room
        spans.back().set("number"_key, i);
    }
    spans.erase(spans.begin());
    capture_settle();
    assert_int_equal(capture_count_named("pooled"), 1);
    assert_string_equal(captured_text(capture_named("pooled"), "number"), "0");
    spans.clear();
    capture_settle();
    assert_int_equal(capture_distinct(), 100);
    nsp::detached_span::adopt(nsp::detached_span("last"_name).release()).end(nsp::now());
    capture_settle();
    assert_int_equal(capture_count_named("last"), 1);
    assert_int_equal(nsp::stats().misused, 0);
}

// ---- threads ----

void test_threads_do_not_meet(void **)
{
    constexpr int threads = 4, times = 500;
    std::vector<std::thread> all;
    for (int thread = 0; thread < threads; thread++)
        all.emplace_back([] {
            for (int i = 0; i < times; i++) {
                nsp::span root("thread"_name);
                root.set("number"_key, i);
                nsp::span child("thread child"_name);
                child.set("numbers"_key, {i, i + 1});
            }
        });
    for (std::thread &thread : all)
        thread.join();
    capture_settle();
    assert_int_equal(capture_count_named("thread"), threads * times);
    assert_int_equal(capture_count_named("thread child"), threads * times);
    assert_int_equal(nsp::stats().misused, 0);
}

void test_without_a_session(void **)
{
    assert_int_equal(nsp::shutdown(std::chrono::seconds(60)), NSP_OK);
    {
        nsp::span span("off"_name);
        assert_null(span.get());
        span.set("key"_key, 1);
        span.next("off"_name);
        nsp::detached_span detached("off"_name);
        const nsp::span_scope scope = detached.enter();
        assert_false(detached.recording() || nsp::current().recording());
    }
    // Handles of a session that has ended.
    capture_begin(1);
    nsp::detached_span old("old"_name);
    {
        nsp::span span("old"_name);
        assert_int_equal(nsp::shutdown(std::chrono::seconds(60)), NSP_OK);
        span.set("key"_key, 1);
    }
    capture_begin(1);
    old.set("key"_key, 1);
    old.end();
    nsp::span span("new"_name);
    span.end();
    capture_settle();
    assert_int_equal(capture_count_named("new"), 1);
}

} // namespace

#define TEST(function) cmocka_unit_test_setup_teardown(function, capture_sampled, capture_reset)

int main()
{
    const CMUnitTest tests[] = {
        TEST(test_a_span_ends_with_its_scope),
        TEST(test_a_span_ends_when_an_exception_passes),
        TEST(test_a_function_returns_a_span),
        TEST(test_a_span_that_has_ended_is_inert),
        TEST(test_readings),
        TEST(test_next_of_a_root_is_a_root),
        TEST(test_everything_as_in_c),
        TEST(test_the_limits_are_those_of_c),
        TEST(test_events_have_readings),
        TEST(test_a_span_gets_another_name),
        TEST(test_options),
        TEST(test_spans_change_hands_with_c),
        TEST(test_a_detached_span_moves),
        TEST(test_a_detached_span_goes_to_another_thread),
        TEST(test_detached_spans_in_containers),
        TEST(test_threads_do_not_meet),
        TEST(test_without_a_session),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
