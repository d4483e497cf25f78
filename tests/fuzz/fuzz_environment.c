// SPDX-License-Identifier: Apache-2.0
//
// Input: environment variables, as lines of "NAME=value", and members that the application sets, as lines of
// "member:value". Each variable gets one verdict; the environment alone gives a configuration that nsp_init
// accepts, and with the application's members one that it accepts or refuses with a reason; no password is
// shown.
//
// Parsers: core/config/config.c core/config/environment.c core/config/variable.c
// Parsers: core/config/variable_number.c core/config/variable_text.c
// Parsers: core/config/variable_word.c core/propagation/propagators.c
#include "fuzz.h"

#include "base/log.h"
#include "common/pairs.h"
#include "config/config.h"
#include "config/environment.h"
#include "propagation/propagators.h"
#include <nanospan/exporter.h>
#include <nanospan/inspect.h>
#include <nanospan/nanospan.h>

enum { SET_MAX = 32 };

static char *set[SET_MAX];
static size_t set_count;
static size_t seen;

// What is logged is safe for any log.
static void check_line(void *context, nsp_log_level level, const char *message)
{
    (void)context;
    MUST(level >= NSP_LOG_ERROR && level <= NSP_LOG_DEBUG && fuzz_is_line(message, strlen(message)));
}

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

// An exporter of the application. The value says what is wrong with it.
static const nsp_exporter *exporter_of(const char *fault)
{
    static union {
        nsp_exporter exporter;
        unsigned char bytes[2 * sizeof(nsp_exporter)];
    } custom;
    memset(&custom, 0, sizeof custom);
    memset(&custom.exporter, 0x55, sizeof custom.exporter); // never called
    custom.exporter.name = strstr(fault, "nameless") != NULL ? NULL : "mine";
    custom.exporter.size = strstr(fault, "short") != NULL  ? 8
                           : strstr(fault, "long") != NULL ? 17 * sizeof custom.exporter
                           : strstr(fault, "new") != NULL  ? sizeof custom
                                                           : sizeof custom.exporter;
    custom.bytes[sizeof custom - 1] = strstr(fault, "newer") != NULL;
    if (strstr(fault, "create") != NULL)
        custom.exporter.create = NULL;
    if (strstr(fault, "destroy") != NULL)
        custom.exporter.destroy = NULL;
    if (strstr(fault, "append") != NULL)
        custom.exporter.append = NULL;
    if (strstr(fault, "send") != NULL)
        custom.exporter.send = NULL;
    return &custom.exporter;
}

// Sets a member as an application would: a text, or a number of any value.
static void set_member(nsp_config *config, const char *member, const char *value)
{
    if (strcmp(member, "size") == 0)
        config->size = strtoul(value, NULL, 10);
    else if (strcmp(member, "parent_policy") == 0)
        config->parent_policy = (nsp_parent_policy)strtol(value, NULL, 10);
    else if (strcmp(member, "custom_exporter") == 0)
        config->custom_exporter = exporter_of(value);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        if (strcmp(variable->member, member) != 0)
            continue;
        char *to = (char *)config + variable->offset;
        double ratio = strtod(value, NULL);
        uint64_t wide = strtoull(value, NULL, 10);
        if (variable->kind->text)
            memcpy(to, &value, sizeof value);
        else if (variable->width == 1)
            *to = wide % 2 != 0;
        else if (variable->width == sizeof(uint32_t))
            memcpy(to, &(uint32_t){(uint32_t)wide}, sizeof(uint32_t));
        else if (variable->kind == &nsp__kind_ratio || variable->kind == &nsp__kind_sampler)
            memcpy(to, &ratio, sizeof ratio);
        else
            memcpy(to, &wide, sizeof wide);
        return;
    }
}

// What the application sets is accepted, or refused with a reason.
static void check_members(const uint8_t *bytes, size_t size)
{
    static union { // may be newer, and then larger
        nsp_config config;
        unsigned char bytes[16 * sizeof(nsp_config) + 64];
    } given;
    char *lines[SET_MAX], *value;
    size_t count = 0;
    memset(&given, 0, sizeof given);
    nsp_config_init(&given.config);
    for (char *line; count < SET_MAX && (line = fuzz_line(&bytes, &size)) != NULL; lines[count++] = line)
        if ((value = strchr(line, ':')) != NULL && memchr(line, '=', (size_t)(value - line)) == NULL) {
            *value = '\0';
            if (strcmp(line, "newer") == 0)
                given.bytes[sizeof(nsp_config)] = 1;
            set_member(&given.config, line, value + 1);
        }
    nsp_config resolved;
    nsp__environment_report(&given.config);
    nsp_status status = nsp__config_resolve(&resolved, &given.config);
    if (status == NSP_OK) {
        size_t exporters = nsp__config_exporter_count(&resolved);
        MUST(exporters >= 1 && nsp__config_exporter_listed(&resolved) == (exporters > 1));
        nsp__config_free(&resolved);
    } else {
        MUST(status == NSP_ERR_CONFIG && *nsp_error_detail() != '\0');
    }
    while (count != 0)
        free(lines[--count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static size_t all;
    const uint8_t *whole = bytes;
    size_t whole_size = size;
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
    nsp__log_configure(NSP_LOG_DEBUG, check_line, NULL);
    nsp_config config, resolved;
    memset(&config, 0xa5, sizeof config);
    nsp_config_init(&config);
    MUST(config.size == sizeof config);
    if (nsp__config_resolve(&resolved, &config) == NSP_OK) // the environment's settings are valid
        nsp__config_free(&resolved);
    else
        MUST(*nsp_error_detail() != '\0');
    nsp__environment_report(NULL);
    const char *propagators = nsp__environment_text("OTEL_PROPAGATORS");
    nsp__propagators_choose(propagators != NULL ? propagators : "");
    MUST(nsp__propagators() != 0);
    MUST(nsp__config_resolve(&resolved, NULL) == NSP_OK); // an invalid variable is ignored
    nsp__config_free(&resolved);
    nsp__config_free(&resolved);
    nsp__config_init(NULL, sizeof config);
    nsp__config_init(&config, sizeof config.size - 1);
    nsp__config_init(&config, 64); // an older caller's
    MUST(config.size == 64);
    check_members(whole, whole_size);
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
