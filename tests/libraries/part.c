// SPDX-License-Identifier: Apache-2.0
//
// A library that traces inside a program, and is linked with libnanospan-core alone.
#include "libraries/part.h"

#include <nanospan/nanospan.h>

nsp_collector_mode part_early;

__attribute__((constructor(101))) static void look_early(void)
{
    nsp_config config;
    nsp_config_init(&config);
    part_early = config.collector;
}

void part_record(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("of the part")));
}
