// SPDX-License-Identifier: Apache-2.0
#include "support/path_generator.h"

#include <stdio.h>
#include <string.h>

#include <nanospan/exporter.h>

#include "common/seed.h"

#define UNSET_I64 ((uint64_t)INT64_MIN)
#define UNSET_F64 UINT64_C(0x7ff800006e616e6f)

uint64_t generated_draw(uint64_t *seed, uint64_t below)
{
    return nsp__random_splitmix(seed) % below;
}

// One of some thirty.
static nsp_name draw_name(uint64_t *seed)
{
    const unsigned number = (unsigned)generated_draw(seed, 30);
    char text[128];
    if (generated_draw(seed, 500) == 0)
        return 4000; // no name
    int length =
        snprintf(text, sizeof text, number % 5 == 0 ? "\xE2\x82\xAC path.%u" : "path.field.%u", number);
    if (number == 7) // longer than a short key
        for (; length < 100; length++)
            text[length] = 'k';
    if (number == 8)
        text[0] = '\xff';
    return nsp_intern(text, (size_t)length);
}

static uint64_t unset_of(uint8_t type)
{
    return type == NSP_TYPE_I64    ? UNSET_I64
           : type == NSP_TYPE_F64  ? UNSET_F64
           : type == NSP_TYPE_BOOL ? 2
                                   : UINT16_MAX;
}

static bool has_key(const nsp__path_layout *layout, nsp_name key)
{
    for (uint32_t i = 0; i < layout->fields; i++)
        if (layout->field[i].key == key)
            return true;
    return false;
}

static nsp_name draw_key(const nsp__path_layout *layout, uint64_t *seed)
{
    nsp_name key = draw_name(seed);
    for (int i = 0; i < 20 && has_key(layout, key) && generated_draw(seed, 100) != 0; i++)
        key = draw_name(seed);
    return key;
}

void generated_layout(nsp__path_layout *layout, uint64_t *seed)
{
    static const uint8_t types[] = {NSP_TYPE_I64, NSP_TYPE_F64, NSP_TYPE_BOOL, NSP_TYPE_STR};
    const bool small = generated_draw(seed, 4) != 0;
    const uint32_t phases = (uint32_t)generated_draw(seed, small ? 7 : NSP_PATH_PHASES_MAX + 1),
                   most = (uint32_t)generated_draw(seed, small ? 7 : NSP_PATH_FIELDS_MAX + 1);
    uint32_t at = (uint32_t)sizeof(nsp__path_head) + 8 * phases, phase = 0;
    memset(layout, 0, sizeof *layout);
    layout->name = draw_name(seed);
    layout->phases = (uint8_t)phases;
    for (uint32_t i = 0; i < phases; i++)
        layout->phase_names[i] = draw_name(seed);
    for (uint32_t i = 0; i < most; i++) {
        const uint8_t type = types[generated_draw(seed, 4)];
        const uint32_t capacity = (uint32_t)generated_draw(seed, 50) + 1;
        const uint32_t size = type == NSP_TYPE_BOOL ? 1 : type == NSP_TYPE_STR ? capacity : 8;
        const uint32_t alignment = type == NSP_TYPE_BOOL ? 1 : type == NSP_TYPE_STR ? 2 : 8;
        at = (at + alignment - 1) & ~(alignment - 1);
        if (at + size + 2 > NSP_PATH_BYTES_MAX)
            break;
        phase += (uint32_t)generated_draw(seed, 2) & (phase < phases);
        const nsp_name key = draw_key(layout, seed);
        layout->field[layout->fields++] = (nsp__path_field){.key = key,
                                                            .offset = (uint16_t)at,
                                                            .size = (uint16_t)size,
                                                            .type = type,
                                                            .phase = (uint8_t)phase,
                                                            .unset = unset_of(type)};
        at += size + (type == NSP_TYPE_STR ? 2 : 0);
    }
    layout->bytes = (uint16_t)((at + 15) & ~15u);
    layout->checksum = nsp__path_layout_checksum(layout);
}

void generated_path_item(generated_path *path, nsp_name key, uint32_t type, const void *payload,
                         size_t length)
{
    uint8_t *at = path->bytes + path->record.bytes;
    const uint64_t tag = nsp__item_tag(key, type, 0, length);
    memset(at, 0, NSP__ITEM_BYTES(length));
    memcpy(at, &tag, sizeof tag);
    memcpy(at + sizeof tag, payload, length);
    path->record.bytes += NSP__ITEM_BYTES(length);
}

static void put_text(uint8_t *at, uint32_t capacity, uint64_t *seed)
{
    const uint16_t length = (uint16_t)generated_draw(seed, capacity + 1);
    const uint64_t any = generated_draw(seed, 8);
    memcpy(at, &length, sizeof length);
    for (uint32_t i = 0; i < capacity; i++) // what lies behind the text is not zero either
        at[sizeof length + i] =
            (uint8_t)(any == 0 ? generated_draw(seed, 256) : 'a' + generated_draw(seed, 26));
}

static void put_field(uint8_t *body, const nsp__path_field *field, uint64_t *seed)
{
    uint8_t *at = body + field->offset;
    const bool set = generated_draw(seed, 4) != 0;
    uint64_t word = field->unset;
    if (field->type == NSP_TYPE_STR && set) {
        put_text(at, field->size, seed);
        return;
    }
    if (set && field->type == NSP_TYPE_BOOL)
        word = generated_draw(seed, 2);
    else if (set)
        word = nsp__random_splitmix(seed) >> generated_draw(seed, 64);
    memcpy(at, &word, field->type == NSP_TYPE_BOOL ? 1 : field->type == NSP_TYPE_STR ? 2 : 8);
}

static void put_items(generated_path *path, uint64_t *seed)
{
    static const char text[] = "vendor=1";
    const uint64_t word = generated_draw(seed, 1000);
    if (generated_draw(seed, 2) != 0) {
        path->record.flags |= NSP__RECORD_TRACESTATE;
        generated_path_item(path, 0, NSP_ITEM_TRACESTATE, text, sizeof text - 1);
    }
    if (generated_draw(seed, 2) != 0)
        generated_path_item(path, draw_name(seed), NSP_TYPE_I64, &word, sizeof word);
    if (generated_draw(seed, 2) != 0) {
        const nsp__dropped dropped = {.attributes = 3};
        path->record.flags |= NSP__RECORD_DROPS;
        generated_path_item(path, 0, NSP__ITEM_DROPS, &dropped, sizeof dropped);
    }
    path->record.status = (uint8_t)generated_draw(seed, 3);
}

void generated_path_make(generated_path *path, const nsp__path_layout *layout, uint32_t number, uint64_t now,
                         bool items, uint64_t *seed)
{
    memset(path, 0, sizeof *path);
    uint64_t at = now + generated_draw(seed, 3);
    nsp__path_head head = {.declaration = (uint16_t)number, .bytes = layout->bytes, .phases = layout->phases};
    path->record = (nsp__record){
        .bytes = (uint32_t)sizeof(nsp__record) + layout->bytes,
        .name = generated_draw(seed, 9) != 0 ? layout->name : draw_name(seed),
        .start = at,
        .flags = (uint8_t)(NSP__RECORD_SAMPLED | NSP__RECORD_KEPT | (generated_draw(seed, 2) << 1)),
        .kind = (uint8_t)(generated_draw(seed, 5) | NSP__KIND_PATH),
        .threshold = generated_draw(seed, 3) == 0 ? UINT32_MAX : (uint32_t)generated_draw(seed, 0x10000),
        .trace_id = {nsp__random_splitmix(seed), nsp__random_splitmix(seed)},
        .span_id = nsp__random_splitmix(seed),
        .parent_id = generated_draw(seed, 2) != 0 ? nsp__random_splitmix(seed) : 0,
    };
    path->record.local_root_id = path->record.span_id;
    if (path->record.parent_id != 0 && generated_draw(seed, 2) != 0)
        path->record.flags |= NSP__RECORD_PARENT_REMOTE;
    uint8_t *body = path->bytes + sizeof path->record;
    for (uint32_t phase = 1; phase <= layout->phases; phase++) {
        if (generated_draw(seed, 4) == 0)
            continue;
        at += generated_draw(seed, 3) == 0 ? 0 : generated_draw(seed, 100000);
        memcpy(body + 8 * phase, &at, sizeof at);
        head.skipped = (uint8_t)(head.skipped + phase - 1 - head.open);
        head.open = (uint8_t)phase;
    }
    memcpy(body, &head, sizeof head);
    path->record.end = at + generated_draw(seed, 100);
    if (generated_draw(seed, 20) == 0)
        path->record.end = path->record.start - 5; // by ticks that a user supplied
    for (uint32_t i = 0; i < layout->fields; i++)
        put_field(body, &layout->field[i], seed);
    if (items)
        put_items(path, seed);
}
