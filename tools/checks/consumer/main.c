// SPDX-License-Identifier: Apache-2.0
//
// The minimal use of the library, valid as C and as C++.
#include <nanospan/nanospan.h>
#include <stdio.h>

static int place_order(void)
{
    NSP_SPAN(span, "place_order");
    nsp_span_set_i64(span, NSP_KEY("quantity"), 100);
    return nsp_span_recording(span) ? 0 : 1;
}

int main(void)
{
    nsp_config config;
    nsp_config_init(&config);
    nsp_status status = nsp_init(&config);
    if (status != NSP_OK) {
        fprintf(stderr, "nsp_init: %s: %s\n", nsp_status_str(status), nsp_error_detail());
        return 1;
    }
    int result = place_order();
    status = nsp_shutdown(UINT64_C(1000000000));
    return status == NSP_OK ? result : 2;
}
