// SPDX-License-Identifier: Apache-2.0
#include "otlp/protobuf/prefix.h"

#include <nanospan/version.h>
#include <stdlib.h>

#include "common/utf8.h"
#include "otlp/protobuf/wire.h"

#include "otlp.pb-c.h"

static char library_name[] = "nanospan", library_version[] = NSP_VERSION;

// A copy in valid UTF-8, zero-terminated; NULL: out of memory.
static char *repaired_copy(const char *text)
{
    size_t length = strlen(text);
    uint8_t *copy = malloc(NSP__UTF8_GROWTH * length + 1);
    if (copy != NULL)
        *nsp__utf8_repair(copy, (const uint8_t *)text, length) = 0;
    return (char *)copy;
}

// One attribute with the messages that it points to, so that an array of them needs one allocation, apart
// from the texts.
typedef struct resource_attribute {
    Nanospan__Otlp__KeyValue pair;
    Nanospan__Otlp__AnyValue value;
    char *text; // the value's; NULL for a number
} resource_attribute;

static bool fill_attribute(resource_attribute *attribute, const char *key, const char *value, nsp_type type)
{
    nanospan__otlp__key_value__init(&attribute->pair);
    nanospan__otlp__any_value__init(&attribute->value);
    attribute->pair.key = repaired_copy(key);
    attribute->pair.value = &attribute->value;
    if (type == NSP_TYPE_I64) {
        attribute->value.value_case = NANOSPAN__OTLP__ANY_VALUE__VALUE_INT_VALUE;
        attribute->value.int_value = strtoll(value, NULL, 10);
        return attribute->pair.key != NULL;
    }
    attribute->value.value_case = NANOSPAN__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    attribute->value.string_value = attribute->text = repaired_copy(value);
    return attribute->pair.key != NULL && attribute->text != NULL;
}

static nsp_status pack(nsp__otlp_prefix *out, const nsp_exporter_context *context,
                       const Nanospan__Otlp__Resource *resource)
{
    Nanospan__Otlp__Scope scope = NANOSPAN__OTLP__SCOPE__INIT;
    scope.name = library_name;
    scope.version = library_version;
    size_t resource_size = nanospan__otlp__resource__get_packed_size(resource);
    size_t scope_size = nanospan__otlp__scope__get_packed_size(&scope);
    out->resource_size = 1 + nsp__varint_size(resource_size) + resource_size;
    out->size = out->resource_size + 1 + nsp__varint_size(scope_size) + scope_size;
    if (out->size > context->config->batch_bytes / 2) {
        context->log(NSP_LOG_ERROR, "resource",
                     "the resource attributes take %zu bytes, more than half of a batch of %zu; "
                     "shorten OTEL_RESOURCE_ATTRIBUTES or raise NSP_BATCH_BYTES",
                     out->size, context->config->batch_bytes);
        return NSP_ERR_CONFIG;
    }
    out->bytes = malloc(out->size);
    if (out->bytes == NULL)
        return NSP_ERR_NO_MEMORY;
    uint8_t *at = out->bytes;
    *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, resource_size);
    at += nanospan__otlp__resource__pack(resource, at);
    *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, scope_size);
    nanospan__otlp__scope__pack(&scope, at);
    return NSP_OK;
}

nsp_status nsp__otlp_prefix_pack(nsp__otlp_prefix *out, const nsp_exporter_context *context)
{
    size_t count = context->resource_count;
    resource_attribute *attributes = calloc(count + 1, sizeof *attributes);
    Nanospan__Otlp__KeyValue **pairs = calloc(count + 1, sizeof(Nanospan__Otlp__KeyValue *));
    bool complete = attributes != NULL && pairs != NULL;
    size_t filled = 0;
    for (; complete && filled < count; filled++) {
        complete = fill_attribute(&attributes[filled], context->resource_keys[filled],
                                  context->resource_values[filled], context->resource_types[filled]);
        pairs[filled] = &attributes[filled].pair;
    }

    nsp_status status = NSP_ERR_NO_MEMORY;
    if (complete) {
        Nanospan__Otlp__Resource resource = NANOSPAN__OTLP__RESOURCE__INIT;
        resource.n_attributes = count;
        resource.attributes = pairs;
        status = pack(out, context, &resource);
    }

    while (filled-- > 0) {
        free(attributes[filled].pair.key);
        free(attributes[filled].text);
    }
    free(pairs);
    free(attributes);
    return status;
}
