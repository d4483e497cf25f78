// SPDX-License-Identifier: Apache-2.0
//
// The cost of losing a span: a ring that nobody drains.
#include "hot_path/special.h"

#include <nanospan/nanospan.h>

#include "harness/session.h"

static nsp_span *root;

__attribute__((noinline)) void run_full_child(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("full_child"));
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);
        nsp_span_end(span);
    }
}

// Runs an operation until a span is lost. All spans have the same size and nobody drains, so every later one
// is lost too.
static bool fill(void (*run)(size_t))
{
    uint64_t losses = session_losses();
    for (uint64_t bytes = 0; bytes <= 2 * session_ring_bytes(); bytes += 64) { // more runs than are needed
        run(1);
        if (session_losses() != losses)
            return true;
    }
    return false;
}

static void run_root(size_t count)
{
    for (size_t i = 0; i < count; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("filling")));
}

bool full_ring_refuse(void)
{
    return fill(run_root);
}

// The root is begun while the ring is empty: above the watermark it would be refused, and its children with
// it.
bool full_ring_fill(void)
{
    root = nsp_span_begin(NSP_NAME("full_root"));
    return fill(run_full_child);
}

void full_ring_finish(void)
{
    nsp_span_end(root);
}
