// SPDX-License-Identifier: Apache-2.0
//
// The minimal use of <nanospan/nanospan.hpp>, in a program that is linked with the core alone.
#include <nanospan/nanospan.hpp>

#include <cstdio>

using namespace nsp::literals;

int main()
{
    nsp::session session(std::chrono::milliseconds(10)); // nobody drains it
    if (session.status() != NSP_OK) {
        std::fprintf(stderr, "nsp_init: %s: %s\n", nsp_status_str(session.status()), nsp_error_detail());
        return 1;
    }
    nsp::span span("place_order"_name);
    span.set("quantity"_key, 100);
    const bool recorded = span.recording();
    span.end();
    return recorded ? 0 : 1;
}
