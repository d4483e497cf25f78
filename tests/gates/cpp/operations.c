// SPDX-License-Identifier: Apache-2.0
//
// The operations in C.
#include "operations.h"

#include <nanospan/nanospan.h>

#define UNUSED (void)number, (void)text, (void)length

NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

void run_span0(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *span = nsp_span_begin(NSP_NAME("span0"));
    nsp_span_end(span);
}

void run_span3(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *span = nsp_span_begin(NSP_NAME("span3"));
    nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
    nsp_span_set_f64(span, NSP_KEY("price"), (double)number);
    nsp_span_set_i64(span, NSP_KEY("quantity"), number);
    nsp_span_end(span);
}

void run_texts(int64_t number, const char *text, size_t length)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("texts"));
    nsp_span_set_str(span, NSP_KEY("one"), text);
    // The other setters have no macro that looks at the key only if the span records.
    if (nsp_span_recording(span))
        nsp_span_set_strn(span, NSP_KEY("two"), text, length);
    nsp_span_set_bool(span, NSP_KEY("three"), number != 0);
    nsp_span_end(span);
}

void run_child(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *root = nsp_span_begin(NSP_NAME("order"));
    nsp_span *child = nsp_span_begin(NSP_NAME("check"));
    nsp_span_set_i64(child, NSP_KEY("account"), number);
    nsp_span_end(child);
    nsp_span_end(root);
}

void run_next(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *root = nsp_span_begin(NSP_NAME("order"));
    const nsp_ticks start = nsp_span_start(root);
    nsp_span *phase = nsp_span_begin_at(NSP_NAME("check"), start);
    phase = nsp_span_next(phase, NSP_NAME("submit"));
    nsp_span_end(phase);
    nsp_span_end(root);
}

void run_supplied(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_ticks now = nsp_now();
    nsp_span *span = nsp_span_begin_at(NSP_NAME("supplied"), now);
    nsp_span_end_at(span, now + (nsp_ticks)number);
}

void run_event(int64_t number, const char *text, size_t length)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("event"));
    if (nsp_span_recording(span)) {
        const nsp_name name = NSP_NAME("sent");
        nsp_attr attributes[2];
        attributes[0] = nsp_attr_i64(NSP_KEY("quantity"), number);
        attributes[1] = nsp_attr_strn(NSP_KEY("venue"), text, length);
        nsp_span_add_event_with(span, name, 0, attributes, 2);
    }
    nsp_span_end(span);
}

void run_array(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *span = nsp_span_begin(NSP_NAME("array"));
    if (nsp_span_recording(span)) {
        const int64_t values[] = {number, 2, 3};
        nsp_span_set_i64s(span, NSP_KEY("fills"), values, 3);
    }
    nsp_span_end(span);
}

void run_detached(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_set_i64(span, NSP_KEY("order"), number);
    nsp_span_enter(span);
    nsp_span_leave(span);
    nsp_span_end(span);
}

void run_root(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_SERVER;
    options.new_root = true;
    nsp_span *span = nsp_span_begin_with(NSP_NAME("root"), &options);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "refused");
    nsp_span_end(span);
}

static bool set(void *fields, const char *name, const char *value, size_t length)
{
    (void)name;
    (void)value;
    *(size_t *)fields += length;
    return true;
}

void run_inject(int64_t number, const char *text, size_t length)
{
    UNUSED;
    nsp_span *span = nsp_span_begin(NSP_NAME("request"));
    size_t bytes = 0;
    const nsp_carrier carrier = {&bytes, NULL, set};
    nsp_inject_span(span, &carrier);
    fields_bytes = bytes;
    nsp_span_end(span);
}

void run_path(int64_t number, const char *text, size_t length)
{
    order_path *path = order_path_begin();
    NSP_PATH_STR(path, symbol, text, length);
    path->quantity = number;
    path->price = (double)number;
    NSP_PATH_MARK(path, submit);
    order_path_end(path);
}
