// SPDX-License-Identifier: Apache-2.0
//
// An engine with the core alone, which is drained from outside: nobody does that here, so its spans stay in its session.
#include <nanospan/nanospan.h>
#include <stdio.h>

int main(void)
{
    nsp_config config;
    nsp_config_init(&config);
    nsp_status status = nsp_init(&config);
    if (status != NSP_OK) {
        fprintf(stderr, "nsp_init: %s: %s\n", nsp_status_str(status), nsp_error_detail());
        return 1;
    }
    if (config.collector != NSP_COLLECTOR_EXTERNAL)
        return 2;
    nsp_span_end(nsp_span_begin(NSP_NAME("place_order")));
    if (nsp_shutdown(0) != NSP_ERR_TIMEOUT)
        return 3;
    nsp_stats stats = NSP_STATS_INIT;
    return nsp_stats_get(&stats) == NSP_OK && stats.in_rings == 1 ? 0 : 4;
}
