// SPDX-License-Identifier: Apache-2.0
//
// For tests that make the same span by the C interface and by <nanospan/nanospan.hpp>, and compare what is exported.
#ifndef NSP_TESTS_CPP_TWINS_HPP
#define NSP_TESTS_CPP_TWINS_HPP

#include <nanospan/nanospan.hpp>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cstring>

extern "C" {
#include <cmocka.h>

#include "support/capture.h"
}

using namespace nsp::literals;

inline void assert_same_attributes(const captured_attribute *a, std::size_t a_count,
                                   const captured_attribute *b, std::size_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (std::size_t i = 0; i < a_count; i++) {
        assert_string_equal(a[i].key, b[i].key);
        assert_int_equal(a[i].type, b[i].type);
        assert_int_equal(a[i].count, b[i].count);
        assert_string_equal(a[i].text, b[i].text);
    }
}

// All but the name, the ids and the times.
inline void assert_same_spans(const captured_span *a, const captured_span *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->status_message, b->status_message);
    assert_int_equal(a->trace_flags, b->trace_flags);
    assert_int_equal(a->parent_remote, b->parent_remote);
    assert_int_equal(a->dropped_attributes, b->dropped_attributes);
    assert_int_equal(a->dropped_events, b->dropped_events);
    assert_int_equal(a->dropped_links, b->dropped_links);
    assert_string_equal(a->tracestate, b->tracestate);
    assert_same_attributes(a->attributes, a->attribute_count, b->attributes, b->attribute_count);
    assert_int_equal(a->event_count, b->event_count);
    for (std::size_t i = 0; i < a->event_count; i++) {
        assert_string_equal(a->events[i].name, b->events[i].name);
        assert_int_equal(a->events[i].dropped_attributes, b->events[i].dropped_attributes);
        assert_same_attributes(a->events[i].attributes, a->events[i].attribute_count, b->events[i].attributes,
                               b->events[i].attribute_count);
    }
    assert_int_equal(a->link_count, b->link_count);
    for (std::size_t i = 0; i < a->link_count; i++) {
        assert_memory_equal(a->links[i].trace_id, b->links[i].trace_id, NSP_TRACE_ID_SIZE);
        assert_memory_equal(a->links[i].span_id, b->links[i].span_id, NSP_SPAN_ID_SIZE);
        assert_int_equal(a->links[i].flags, b->links[i].flags);
        assert_string_equal(a->links[i].tracestate, b->links[i].tracestate);
        assert_same_attributes(a->links[i].attributes, a->links[i].attribute_count, b->links[i].attributes,
                               b->links[i].attribute_count);
    }
}

// Calls in_c with a span of the C interface, and in_cpp with one of C++, and compares what is exported of them.
// Returns the one of C++, which is valid until the next call.
template <class C, class Cpp> const captured_span *assert_twins(const C &in_c, const Cpp &in_cpp)
{
    capture_settle();
    capture_forget();
    nsp_span *c = nsp_span_begin(NSP_NAME("c"));
    in_c(c);
    nsp_span_end(c);
    {
        const nsp::span cpp("cpp"_name);
        in_cpp(cpp);
    }
    capture_settle();
    const captured_span *made = capture_named("cpp");
    assert_same_spans(capture_named("c"), made);
    return made;
}

#endif
