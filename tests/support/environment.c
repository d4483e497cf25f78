// SPDX-License-Identifier: Apache-2.0
#include "support/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

nsp_config with(const char *first, const char *second)
{
    nsp_config config;
    const char *settings[] = {first, second};
    clearenv();
    for (int i = 0; i < 2; i++) {
        char name[64];
        const char *equals = settings[i] ? strchr(settings[i], '=') : NULL;
        if (!equals)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - settings[i]), settings[i]);
        assert_int_equal(setenv(name, equals + 1, 1), 0);
    }
    nsp_config_init(&config);
    return config;
}
