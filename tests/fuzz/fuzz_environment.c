// SPDX-License-Identifier: Apache-2.0
//
// Input: environment variables, as lines of "NAME=value". Each gets one verdict, the resulting configuration
// is one that nsp_init accepts, and no password is shown.
#include "fuzz.h"

#include "common/pairs.h"
#include "config/config.h"
#include <nanospan/inspect.h>
#include <nanospan/nanospan.h>

enum { SET_MAX = 32 };

static char *set[SET_MAX];
static size_t set_count;
static size_t seen;

static bool see(void *argument, const nsp_setting *setting)
{
    (void)argument;
    seen++;
    MUST(setting->variable != NULL && setting->value != NULL && setting->accepted != NULL);
    const char *text = getenv(setting->variable);
    bool bad = setting->state == NSP_SETTING_BAD || setting->state == NSP_SETTING_WITHOUT_EFFECT;
    // A setting in force may have a problem too: a list whose bad entries are left out.
    MUST(!bad || setting->problem != NULL);
    MUST((setting->state == NSP_SETTING_BEATEN) == (setting->beaten_by != NULL));
    bool unset = text == NULL || nsp__slice_strip(nsp__slice_of(text)).length == 0;
    MUST(!unset || setting->state == NSP_SETTING_UNSET);
    MUST(unset || setting->state != NSP_SETTING_UNSET);
    if (strstr(setting->variable, "_HEADERS") != NULL && !unset)
        MUST(strcmp(text, "(not shown)") == 0 || strcmp(setting->text, text) != 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static size_t all;
    for (char *line; set_count < SET_MAX && (line = fuzz_line(&bytes, &size)) != NULL;) {
        char *equals = strchr(line, '=');
        bool ours = strncmp(line, "OTEL_", 5) == 0 || strncmp(line, "NSP_", 4) == 0 ||
                    strncmp(line, "OTLP_", 5) == 0 || strncmp(line, "TRACE_", 6) == 0 ||
                    strncmp(line, "ENABLE_", 7) == 0;
        if (equals != NULL && ours) {
            *equals = '\0';
            setenv(line, equals + 1, 1);
            set[set_count++] = line;
        } else {
            free(line);
        }
    }
    nsp_config config, resolved;
    memset(&config, 0xa5, sizeof config);
    nsp_config_init(&config);
    MUST(config.size == sizeof config);
    if (nsp__config_resolve(&resolved, &config) == NSP_OK) // the environment's settings are valid
        nsp__config_free(&resolved);
    else
        MUST(*nsp_error_detail() != '\0');
    seen = 0;
    MUST(nsp_settings_each(see, NULL) == NSP_OK);
    MUST(seen > 50 && (all == 0 || seen == all));
    all = seen;
    while (set_count != 0) {
        unsetenv(set[--set_count]);
        free(set[set_count]);
    }
    return 0;
}
