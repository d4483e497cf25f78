// SPDX-License-Identifier: Apache-2.0
#include "config/resource.h"

#include <errno.h>
#include <limits.h>
#include <nanospan/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "common/percent.h"
#include "common/seed.h"
#include "config/environment.h"

enum { UUID_SIZE = 37, OWN_ATTRIBUTES = 12 };

#if defined(__x86_64__)
static const char host_arch[] = "amd64";
#elif defined(__aarch64__)
static const char host_arch[] = "arm64";
#elif defined(__powerpc64__)
static const char host_arch[] = "ppc64";
#elif defined(__s390x__)
static const char host_arch[] = "s390x";
#else
static const char host_arch[] = "";
#endif

// A random UUID, version 4, drawn once per process.
static const char *instance_id(void)
{
    static char text[UUID_SIZE];
    static pid_t drawn_by;
    if (drawn_by == getpid())
        return text;
    // Drawn without blocking, because a process that starts at boot must not wait for entropy.
    const uint64_t seeds[2] = {nsp__random_seed(), nsp__random_seed()};
    unsigned char bytes[sizeof seeds];
    memcpy(bytes, seeds, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    char *to = text;
    for (int i = 0; i < 16; i++)
        to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    drawn_by = getpid();
    return text;
}

static const char *executable_name(char *path, size_t size)
{
    static const char deleted[] = " (deleted)";
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return program_invocation_short_name;
    path[length] = 0;
    // The kernel appends this if the program was replaced while it ran.
    size_t end = (size_t)length;
    if (end > sizeof deleted && !strcmp(path + end - (sizeof deleted - 1), deleted))
        path[end - (sizeof deleted - 1)] = 0;
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const char *default_of(const char *member)
{
    for (size_t i = 0; i < nsp__variable_count; i++) {
        if (!strcmp(nsp__variables[i].member, member))
            return nsp__variables[i].fallback;
    }
    return "";
}

// A candidate for an attribute, and whether resource_attributes may override it.
typedef struct attribute {
    const char *key, *value;
    bool yields;
    nsp_type type;
} attribute;

static void put(nsp__resource *resource, size_t place, const char *key, const char *value, nsp_type type)
{
    resource->keys[place] = key;
    resource->values[place] = value;
    resource->types[place] = type;
    resource->count += place == resource->count;
}

static size_t find(const nsp__resource *resource, const char *key)
{
    size_t i = 0;
    while (i < resource->count && strcmp(resource->keys[i], key) != 0)
        i++;
    return i;
}

// Any byte may be percent-encoded except zero, which would end these texts.
static const char *text_fault(nsp__slice text)
{
    for (size_t at = 0; at < text.length;) {
        uint8_t byte;
        size_t taken = nsp__percent_byte(text.text + at, text.length - at, &byte);
        if (byte == 0)
            return "it contains a zero byte";
        if (taken == 1 && (byte < ' ' || byte == 0x7f))
            return "it contains a control character that is not percent-encoded";
        at += taken;
    }
    return NULL;
}

const char *nsp__resource_fault(const nsp__key_value *pair, const void *unused)
{
    (void)unused;
    const char *fault = nsp__pair_malformed(pair);
    if (fault == NULL && !nsp__percent_whole(pair->key.text, pair->key.length))
        fault = "its name contains a percent sign that does not begin an escape such as %20 (write %25 for "
                "the sign itself)";
    if (fault == NULL)
        fault = text_fault(pair->key);
    return fault != NULL ? fault : text_fault(pair->value);
}

// An empty value must not give a service without a name, or an instance that cannot be told from others.
static bool empty_identity(const char *key, const char *value)
{
    return !*value && (!strcmp(key, "service.name") || !strcmp(key, "service.instance.id"));
}

static void merge(nsp__resource *resource, const attribute *own, size_t count, const char *further, char *to)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(own[i].value) + 1;
        put(resource, i, own[i].key, memcpy(to, own[i].value, size), own[i].type);
        to += size;
    }
    nsp__pairs list = nsp__pairs_of(further);
    nsp__key_value pair;
    while (nsp__pairs_next(&list, &pair)) {
        if (nsp__resource_fault(&pair, NULL) != NULL)
            continue;
        const char *key = to;
        to += nsp__percent_decode(to, pair.key.text, pair.key.length) + 1;
        const char *value = to;
        to += nsp__percent_decode(to, pair.value.text, pair.value.length) + 1;
        size_t place = find(resource, key);
        if ((place >= count || own[place].yields) && !empty_identity(key, value))
            put(resource, place, key, value, NSP_TYPE_STR);
    }
}

nsp_status nsp__resource_build(nsp__resource *out, const nsp_config *config)
{
    char pid[16], path[PATH_MAX];
    struct utsname system;
    if (uname(&system) != 0)
        system.nodename[0] = 0;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
#define YIELDS(member) (!strcmp(config->member, default_of(#member)))
    const attribute candidates[OWN_ATTRIBUTES] = {
        {"service.name", config->service_name, YIELDS(service_name), NSP_TYPE_STR},
        {"service.version", config->service_version, YIELDS(service_version), NSP_TYPE_STR},
        {"service.instance.id", instance_id(), true, NSP_TYPE_STR},
        {"deployment.environment.name", config->environment, YIELDS(environment), NSP_TYPE_STR},
        {"telemetry.sdk.name", "nanospan", false, NSP_TYPE_STR},
        {"telemetry.sdk.language", "c", false, NSP_TYPE_STR},
        {"telemetry.sdk.version", NSP_VERSION, false, NSP_TYPE_STR},
        {"process.pid", pid, true, NSP_TYPE_I64},
        {"process.executable.name", executable_name(path, sizeof path), true, NSP_TYPE_STR},
        {"host.name", system.nodename, true, NSP_TYPE_STR},
        {"host.arch", host_arch, true, NSP_TYPE_STR},
        {"os.type", "linux", true, NSP_TYPE_STR},
    };
#undef YIELDS
    attribute own[OWN_ATTRIBUTES];
    const char *further = config->resource_attributes != NULL ? config->resource_attributes : "";
    // Decoded texts are never longer than their escapes. The "=" and one byte per pair leave room for the
    // terminating zeros.
    size_t count = 0, bytes = strlen(further) + 1, room = 1;
    for (size_t i = 0; i < OWN_ATTRIBUTES; i++) {
        if (!*candidates[i].value)
            continue;
        own[count++] = candidates[i];
        bytes += strlen(candidates[i].value) + 1;
    }
    for (const char *c = further; *c; c++)
        room += *c == ',';
    room += count;
    bytes += room;

    nsp__resource resource = {.keys = malloc(room * (2 * sizeof(char *) + sizeof(nsp_type)) + bytes)};
    if (resource.keys == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the resource");
    resource.values = resource.keys + room;
    resource.types = (nsp_type *)(resource.values + room);
    merge(&resource, own, count, further, (char *)(resource.types + room));
    *out = resource;
    return NSP_OK;
}

void nsp__resource_free(nsp__resource *resource)
{
    free(resource->keys);
    *resource = (nsp__resource){0};
}
