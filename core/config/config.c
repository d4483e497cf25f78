// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <nanospan/exporter.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/environment.h"
#include "config/exporter_set.h"

// The size of a struct tells which members its caller knows. That works only if no member is ever placed in
// the padding of an older one, so the last member must end where the struct ends.
_Static_assert(offsetof(nsp_config, outlier_bytes) + sizeof(((nsp_config *)0)->outlier_bytes) ==
                   sizeof(nsp_config),
               "padding behind nsp_config");

// What a resolved configuration owns. service_name is always set and always the first of the texts, so it
// leads back to the block.
typedef struct owned {
    nsp_exporter exporter;
    char texts[];
} owned;

void nsp__config_init(nsp_config *config, size_t size)
{
    nsp_config complete;
    if (config == NULL || size < sizeof config->size)
        return;
    nsp__environment_read(&complete);
    complete.size = size;
    memset(config, 0, size);
    memcpy(config, &complete, size < sizeof complete ? size : sizeof complete);
}

// The reserved bytes belong to later members, as those beyond the end.
enum { RESERVED_END = offsetof(nsp_config, reserved) + sizeof(((nsp_config *)0)->reserved) };

// True if the bytes of a newer caller's struct that we do not know are all zero, which means that it asks for
// nothing new.
static bool tail_is_zero(const void *start, size_t known, size_t size)
{
    const unsigned char *bytes = start;
    for (size_t i = known; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static nsp_status adopt(nsp_config *config, const nsp_config *given)
{
    size_t size = given->size;
    // No version of the struct is larger than this, but an uninitialised size usually is.
    const size_t limit = 16 * sizeof *config;
    if (size <= sizeof config->size || size % _Alignof(nsp_config) != 0 || size > limit)
        return nsp__fail(NSP_ERR_CONFIG,
                         "size: an nsp_config cannot be %zu bytes long; call nsp_config_init first", size);
    if (!tail_is_zero(given, offsetof(nsp_config, reserved), size < RESERVED_END ? size : RESERVED_END) ||
        !tail_is_zero(given, sizeof *config, size))
        return nsp__fail(NSP_ERR_CONFIG,
                         "size: this nsp_config of %zu bytes sets members that the library does not know "
                         "(its own nsp_config has %zu bytes)",
                         size, sizeof *config);
    memcpy(config, given, size < sizeof *config ? size : sizeof *config);
    config->size = sizeof *config;
    return NSP_OK;
}

static nsp_status check_custom_exporter(const nsp_exporter *exporter)
{
    if (exporter == NULL)
        return NSP_OK;
    // What the first release had is enough.
    if (exporter->size < offsetof(nsp_exporter, append_path) || exporter->size > 16 * sizeof *exporter ||
        !tail_is_zero(exporter, sizeof *exporter, exporter->size))
        return nsp__fail(NSP_ERR_CONFIG,
                         "custom_exporter: its size is %zu; accepted: sizeof(nsp_exporter), which is %zu",
                         exporter->size, sizeof *exporter);
    if (exporter->create == NULL || exporter->destroy == NULL || exporter->append == NULL ||
        exporter->send == NULL)
        return nsp__fail(NSP_ERR_CONFIG,
                         "custom_exporter: create, destroy, append and send must not be NULL");
    return NSP_OK;
}

static nsp_status check(const nsp_config *config)
{
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        if (nsp__variable_holds(variable, config))
            continue;
        char value[256], accepts[160], why[200] = "is not accepted";
        nsp__variable_value(variable, true, config, value, sizeof value);
        nsp__variable_accepts(variable, true, accepts, sizeof accepts);
        if (variable->kind->text) {
            const char *text;
            memcpy(&text, (const char *)config + variable->offset, sizeof text);
            nsp__variable_fault(variable, text, why, sizeof why);
        }
        return nsp__fail(NSP_ERR_CONFIG, "%s: %.100s %s; accepted: %s", variable->member, value, why,
                         accepts);
    }
    if (config->parent_policy != NSP_PARENT_FOLLOW && config->parent_policy != NSP_PARENT_DECIDE)
        return nsp__fail(NSP_ERR_CONFIG,
                         "parent_policy: %d is not accepted; accepted: NSP_PARENT_FOLLOW or "
                         "NSP_PARENT_DECIDE",
                         (int)config->parent_policy);
    return check_custom_exporter(config->custom_exporter);
}

static uint64_t power_of_two_from(uint64_t value)
{
    uint64_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static void round_up(nsp_config *config)
{
    config->ring_bytes = (size_t)power_of_two_from(config->ring_bytes);
    if (config->outlier_bytes != 0)
        config->outlier_bytes = (size_t)power_of_two_from(config->outlier_bytes);
    config->record_bytes = (config->record_bytes + 7) & ~UINT32_C(7);
    config->batch_bytes *=
        nsp__config_exporter_count(config); // each exporter of a list has its own part of a batch
    config->batches = (uint32_t)power_of_two_from(config->batches);
    if (config->poll_max_ns < config->poll_min_ns)
        config->poll_max_ns = config->poll_min_ns;
    if (config->retry_max_ns < config->retry_min_ns)
        config->retry_max_ns = config->retry_min_ns;
}

// The text member of row i of the table, or NULL if the row has none or the previous row has the same one.
static const char **text_member(size_t i, nsp_config *config)
{
    const nsp__variable *variable = &nsp__variables[i];
    if (!variable->kind->text || (i > 0 && nsp__variables[i - 1].offset == variable->offset))
        return NULL;
    return (const char **)(void *)((char *)config + variable->offset);
}

// Copies a text to *to and moves *to past it.
static const char *keep(char **to, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*to, text, size);
    *to += size;
    return copy;
}

// Moves everything that the configuration points to into one block that it owns.
static nsp_status own(nsp_config *config)
{
    const nsp_exporter *exporter = config->custom_exporter;
    const char *exporter_name = exporter != NULL && exporter->name != NULL ? exporter->name : "custom";
    size_t size = strlen(config->service_name) + 1 + strlen(exporter_name) + 1;
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const char **text = text_member(i, config);
        if (text != NULL && *text != NULL && text != &config->service_name)
            size += strlen(*text) + 1;
    }
    owned *block = malloc(sizeof *block + size);
    if (block == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the configuration (%zu bytes)",
                         sizeof *block + size);
    char *to = block->texts;
    config->service_name = keep(&to, config->service_name);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const char **text = text_member(i, config);
        if (text != NULL && *text != NULL && text != &config->service_name)
            *text = keep(&to, *text);
    }
    if (exporter != NULL) {
        memset(&block->exporter, 0, sizeof block->exporter);
        memcpy(&block->exporter, exporter,
               exporter->size < sizeof block->exporter ? exporter->size : sizeof block->exporter);
        block->exporter.size = sizeof block->exporter;
        block->exporter.name = keep(&to, exporter_name);
        config->custom_exporter = &block->exporter;
    }
    return NSP_OK;
}

// Texts that are not set get their default, or NULL. Choices get their proper spelling.
static void complete_texts(nsp_config *config)
{
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const char **text = text_member(i, config);
        bool exact = config->endpoint_exact;
        if (text != NULL)
            nsp__variable_apply(&nsp__variables[i],
                                *text != NULL && **text ? *text : nsp__variables[i].fallback, NULL, config);
        config->endpoint_exact = exact;
    }
}

nsp_status nsp__config_resolve(nsp_config *out, const nsp_config *given)
{
    nsp_config config;
    nsp__environment_read(&config);
    nsp_status status = given != NULL ? adopt(&config, given) : NSP_OK;
    if (status == NSP_OK)
        status = check(&config);
    if (status != NSP_OK)
        return status;
    if (config.custom_exporter == NULL && nsp__exporters() == NULL)
        config.exporter = NULL; // no list that would need room for each of its exporters
    complete_texts(&config);
    round_up(&config);
    status = own(&config);
    if (status == NSP_OK)
        *out = config;
    return status;
}

void nsp__config_free(nsp_config *config)
{
    if (config->service_name != NULL)
        free((void *)(uintptr_t)(config->service_name - offsetof(owned, texts)));
    memset(config, 0, sizeof *config);
}

bool nsp__config_exporter_listed(const nsp_config *config)
{
    return config->custom_exporter == NULL && config->exporter != NULL &&
           strchr(config->exporter, ',') != NULL;
}

size_t nsp__config_exporter_count(const nsp_config *config)
{
    size_t count = 1;
    if (nsp__config_exporter_listed(config))
        for (const char *c = config->exporter; *c != 0; c++)
            count += *c == ',';
    return count;
}
