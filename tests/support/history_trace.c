// SPDX-License-Identifier: Apache-2.0
#include "support/history_trace.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "trace/thread.h"

void history_configure(nsp_config *config, size_t outlier_bytes)
{
    capture_config(config);
    config->collector = NSP_COLLECTOR_INVOKER;
    config->sample_rate = 0;
    config->outlier_bytes = outlier_bytes;
    config->ring_bytes = 4 << 20;
}

void history_begin(size_t outlier_bytes)
{
    nsp_config config;
    history_configure(&config, outlier_bytes);
    ruled_begin_with(&config);
}

void history_rule(uint64_t history_ns)
{
    const nsp_outlier_rule rule = {
        .size = sizeof rule, .slower_ns = SLOW_NS, .errors = true, .asked = true, .history_ns = history_ns};
    assert_int_equal(nsp_outlier_set_rule("order", &rule), NSP_OK);
}

const nsp__speculation *history_of_thread(void)
{
    return nsp__producer_self()->speculation;
}

const char history_filling[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";

void history_describe(nsp_span *span, uint64_t number, unsigned part)
{
    const uint64_t length = (number * 7 + part * 13) % 64;
    nsp_span_set_i64(span, NSP_NAME("number"), (int64_t)number);
    nsp_span_set_i64(span, NSP_NAME("part"), part);
    if (length > 8)
        nsp_span_set_strn(span, NSP_NAME("filling"), history_filling + number % 8, length);
}

void history_assert_described(const captured_span *span, uint64_t number, unsigned part)
{
    const uint64_t length = (number * 7 + part * 13) % 64;
    assert_int_equal(history_number(span), number);
    assert_int_equal(strtoul(captured_text(span, "part"), NULL, 10), part);
    const char *text = captured_text(span, "filling");
    assert_true((text != NULL) == (length > 8));
    if (text != NULL)
        assert_true(strlen(text) == length && memcmp(text, history_filling + number % 8, length) == 0);
}

uint64_t history_number(const captured_span *span)
{
    return strtoull(captured_text(span, "number"), NULL, 10);
}

void history_trace(uint64_t number, unsigned children, uint64_t from_ns, uint64_t to_ns)
{
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), ruled_after(from_ns));
    for (unsigned i = 0; i < children; i++) {
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_after(from_ns));
        history_describe(child, number, i);
        nsp_span_end_at(child, ruled_after(from_ns + 1));
    }
    history_describe(root, number, children);
    nsp_span_end_at(root, ruled_after(to_ns));
}

uint64_t history_kept(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const char *why = captured_text(capture_at(i), "nanospan.kept");
        kept += why != NULL && strcmp(why, "history") == 0;
    }
    return kept;
}
