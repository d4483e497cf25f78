// SPDX-License-Identifier: Apache-2.0
#include "support/crash_journal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/seed.h"

journal *journal_map(const char *path, bool create)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0)
        return NULL;
    void *map = MAP_FAILED;
    if (!create || ftruncate(fd, sizeof(journal)) == 0)
        map = mmap(NULL, sizeof(journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return map != MAP_FAILED ? map : NULL;
}

void journal_unmap(journal *map)
{
    if (map != NULL)
        munmap(map, sizeof *map);
}

// ---- the plan ----

// A fixed number that follows from the span's number.
static uint64_t mixed(uint32_t number, uint32_t salt)
{
    return nsp__random_mix(((uint64_t)salt << 32 | number) + 1);
}

const char *journal_name(uint32_t number, char text[32])
{
    static const char *const common[] = {"order", "check", "route", "send"};
    if (mixed(number, 1) % 16 != 0)
        return common[mixed(number, 2) % 4];
    snprintf(text, 32, "order %u", number); // a name that is interned for this span
    return text;
}

nsp_kind journal_kind(uint32_t number)
{
    return (nsp_kind)(mixed(number, 3) % 5);
}

uint32_t journal_operations(uint32_t number)
{
    return 1 + (uint32_t)(mixed(number, 4) % (JOURNAL_OPERATIONS_MAX - 1));
}

journal_operation journal_operation_at(uint32_t number, uint32_t index)
{
    if (index == 0)
        return OPERATION_NUMBER;
    return (journal_operation)(OPERATION_I64 + mixed(number, 16 + index) % OPERATION_RENAME);
}

// The values. `index` is that of the operation.
typedef struct values {
    int64_t i64s[3];
    double f64s[3];
    bool bools[3];
    uint8_t bytes[12];
    char text[128];
    char key[16];
} values;

static void values_of(values *out, uint32_t number, uint32_t index)
{
    for (uint32_t i = 0; i < 3; i++) {
        out->i64s[i] = (int64_t)number * 1000 + index * 10 + i;
        out->f64s[i] = (double)number + index / 16.0 + i / 256.0;
        out->bools[i] = (number + index + i) % 2 != 0;
    }
    uint64_t bytes = mixed(number, 64 + index);
    memcpy(out->bytes, &bytes, sizeof bytes);
    memcpy(out->bytes + sizeof bytes, &number, sizeof number);
    int length = snprintf(out->text, sizeof out->text, "text %u of span %u ", index, number);
    size_t more = mixed(number, 32 + index) % 64;
    memset(out->text + length, '-', more);
    out->text[(size_t)length + more] = 0;
    snprintf(out->key, sizeof out->key, "key %u", index);
}

#define LITERAL "literal"

static nsp_name name_of(const char *text)
{
    return nsp_intern(text, strlen(text));
}

static void operate_more(nsp_span *span, journal_operation operation, const values *v, nsp_name key)
{
    const char *const texts[] = {v->text, "second", ""};
    const nsp_attr attributes[] = {nsp_attr_i64(key, v->i64s[0]), nsp_attr_str(NSP_KEY("text"), v->text),
                                   nsp_attr_bool(NSP_KEY("bool"), v->bools[0])};
    nsp_link link = {.attributes = attributes, .attribute_count = 1};
    switch (operation) {
    case OPERATION_STRS: nsp_span_set_strs(span, key, texts, 3); break;
    case OPERATION_I64S: nsp_span_set_i64s(span, key, v->i64s, 3); break;
    case OPERATION_F64S: nsp_span_set_f64s(span, key, v->f64s, 3); break;
    case OPERATION_BOOLS: nsp_span_set_bools(span, key, v->bools, 3); break;
    case OPERATION_EVENT: nsp_span_add_event(span, key); break;
    case OPERATION_EVENT_WITH: nsp_span_add_event_with(span, key, 0, attributes, 3); break;
    case OPERATION_LINK:
        memcpy(link.context.trace_id, v->bytes, 8);
        memcpy(link.context.trace_id + 8, v->bytes, 8);
        memcpy(link.context.span_id, v->bytes + 4, 8);
        nsp_span_add_link_with(span, &link.context, link.attributes, link.attribute_count);
        break;
    case OPERATION_STATUS: nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, v->text); break;
    default: nsp_span_set_name(span, NSP_NAME("renamed"));
    }
}

void journal_operate(nsp_span *span, uint32_t number, uint32_t index)
{
    values v;
    values_of(&v, number, index);
    nsp_name key = name_of(v.key);
    journal_operation operation = journal_operation_at(number, index);
    switch (operation) {
    case OPERATION_NUMBER: nsp_span_set_i64(span, NSP_KEY("number"), number); break;
    case OPERATION_I64: nsp_span_set_i64(span, key, v.i64s[0]); break;
    case OPERATION_F64: nsp_span_set_f64(span, key, v.f64s[0]); break;
    case OPERATION_BOOL: nsp_span_set_bool(span, key, v.bools[0]); break;
    case OPERATION_LITERAL: nsp_span_set_str(span, key, LITERAL); break;
    case OPERATION_TEXT: nsp_span_set_str(span, key, v.text); break;
    case OPERATION_BYTES: nsp_span_set_bytes(span, key, v.bytes, sizeof v.bytes); break;
    default: operate_more(span, operation, &v, key);
    }
}

// ---- the text ----

static void put_hex(FILE *out, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%02x", bytes[i]);
}

static void put_attribute(FILE *out, uint32_t number, journal_operation operation, const values *v)
{
    if (operation == OPERATION_NUMBER) {
        fprintf(out, "number=i:%u;", number);
        return;
    }
    fprintf(out, "%s=", v->key);
    switch (operation) {
    case OPERATION_I64: fprintf(out, "i:%lld", (long long)v->i64s[0]); break;
    case OPERATION_F64: fprintf(out, "d:%.17g", v->f64s[0]); break;
    case OPERATION_BOOL: fprintf(out, "b:%d", v->bools[0]); break;
    case OPERATION_LITERAL: fprintf(out, "s:" LITERAL); break;
    case OPERATION_TEXT: fprintf(out, "s:%s", v->text); break;
    case OPERATION_BYTES:
        fprintf(out, "x:");
        put_hex(out, v->bytes, sizeof v->bytes);
        break;
    case OPERATION_STRS: fprintf(out, "[s:%s,s:second,s:,]", v->text); break;
    case OPERATION_I64S:
        fprintf(out, "[i:%lld,i:%lld,i:%lld,]", (long long)v->i64s[0], (long long)v->i64s[1],
                (long long)v->i64s[2]);
        break;
    case OPERATION_F64S:
        fprintf(out, "[d:%.17g,d:%.17g,d:%.17g,]", v->f64s[0], v->f64s[1], v->f64s[2]);
        break;
    default: fprintf(out, "[b:%d,b:%d,b:%d,]", v->bools[0], v->bools[1], v->bools[2]);
    }
    fprintf(out, ";");
}

static void put_attributes(FILE *out, uint32_t number, uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        journal_operation operation = journal_operation_at(number, i);
        values v;
        values_of(&v, number, i);
        if (operation < OPERATION_EVENT)
            put_attribute(out, number, operation, &v);
    }
}

static void put_events(FILE *out, uint32_t number, uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        journal_operation operation = journal_operation_at(number, i);
        values v;
        values_of(&v, number, i);
        if (operation == OPERATION_EVENT)
            fprintf(out, "%s{}", v.key);
        else if (operation == OPERATION_EVENT_WITH)
            fprintf(out, "%s{%s=i:%lld;text=s:%s;bool=b:%d;}", v.key, v.key, (long long)v.i64s[0], v.text,
                    v.bools[0]);
    }
}

static void put_links(FILE *out, uint32_t number, uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        values v;
        values_of(&v, number, i);
        if (journal_operation_at(number, i) != OPERATION_LINK)
            continue;
        put_hex(out, v.bytes, 8);
        put_hex(out, v.bytes, 8);
        fprintf(out, "-");
        put_hex(out, v.bytes + 4, 8);
        fprintf(out, "{%s=i:%lld;}", v.key, (long long)v.i64s[0]);
    }
}

static bool has(uint32_t number, uint32_t operations, journal_operation operation, uint32_t *last)
{
    bool found = false;
    for (uint32_t i = 0; i < operations; i++)
        if (journal_operation_at(number, i) == operation) {
            *last = i;
            found = true;
        }
    return found;
}

void journal_text(char text[JOURNAL_TEXT_MAX], uint32_t number, nsp_kind kind, uint32_t operations, bool torn)
{
    FILE *out = fmemopen(text, JOURNAL_TEXT_MAX, "w");
    char own[32];
    uint32_t last = 0;
    bool renamed = has(number, operations, OPERATION_RENAME, &last);
    bool failed = has(number, operations, OPERATION_STATUS, &last);
    values v = {.text = ""};
    if (has(number, operations - torn, OPERATION_STATUS, &last))
        values_of(&v, number, last);
    fprintf(out, "%s|%d|%d:%s|", renamed ? "renamed" : journal_name(number, own), (int)kind, failed ? 2 : 0,
            v.text);
    put_attributes(out, number, operations);
    fprintf(out, "|");
    put_events(out, number, operations);
    fprintf(out, "|");
    put_links(out, number, operations);
    fclose(out);
}
