// SPDX-License-Identifier: Apache-2.0
#include "harness/otlp_walk.h"

#include <stdlib.h>
#include <string.h>

typedef enum message {
    LEAF, // text, bytes, or an unknown field: nothing to walk
    REQUEST,
    RESOURCE_SPANS,
    RESOURCE,
    SCOPE_SPANS,
    SCOPE,
    SPAN,
    STATUS,
    EVENT,
    LINK,
    ATTRIBUTE, // of a resource, scope, span, event or link
    PAIR,      // an element of a list of pairs
    VALUE,
    ARRAY,
    PAIRS,
    MESSAGES
} message;

enum { FIELDS = 16, DEPTH_MOST = 64, SPAN_ID_FIELD = 2 };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

// The message that each field of a message contains.
static const uint8_t inner[MESSAGES][FIELDS] = {
    [REQUEST] = {[1] = RESOURCE_SPANS},
    [RESOURCE_SPANS] = {[1] = RESOURCE, [2] = SCOPE_SPANS},
    [RESOURCE] = {[1] = ATTRIBUTE},
    [SCOPE_SPANS] = {[1] = SCOPE, [2] = SPAN},
    [SCOPE] = {[3] = ATTRIBUTE},
    [SPAN] = {[9] = ATTRIBUTE, [11] = EVENT, [13] = LINK, [15] = STATUS},
    [EVENT] = {[3] = ATTRIBUTE},
    [LINK] = {[4] = ATTRIBUTE},
    [ATTRIBUTE] = {[2] = VALUE},
    [PAIR] = {[2] = VALUE},
    [VALUE] = {[5] = ARRAY, [6] = PAIRS},
    [ARRAY] = {[1] = VALUE},
    [PAIRS] = {[1] = PAIR},
};

// Returns NULL if the number is cut off or longer than 64 bits.
static inline const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    if (at < end && *at < 0x80) {
        *out = *at;
        return at + 1;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (*at++ < 0x80) {
            *out = value;
            return at;
        }
    }
    return NULL;
}

static bool add_id(otlp_walk *walk, const uint8_t *bytes)
{
    if (walk->ids_count == walk->ids_room) {
        size_t room = walk->ids_room != 0 ? 2 * walk->ids_room : 16384;
        uint64_t *ids = realloc(walk->ids, room * sizeof *ids);
        if (ids == NULL)
            return false;
        walk->ids = ids;
        walk->ids_room = room;
    }
    memcpy(&walk->ids[walk->ids_count++], bytes, sizeof *walk->ids);
    return true;
}

static void count_message(otlp_walk *walk, message kind)
{
    switch (kind) {
    case SPAN: walk->spans++; break;
    case EVENT: walk->events++; break;
    case LINK: walk->links++; break;
    case ATTRIBUTE: walk->attributes++; break;
    default: break;
    }
}

static bool walk_message(otlp_walk *walk, message kind, const uint8_t *at, const uint8_t *end, unsigned depth)
{
    if (depth > DEPTH_MOST)
        return false;
    uint64_t fields = 0;
    while (at < end) {
        uint64_t tag, value;
        if ((at = read_varint(at, end, &tag)) == NULL || tag < 8)
            return false;
        fields++;
        switch (tag & 7) {
        case VARINT:
            if ((at = read_varint(at, end, &value)) == NULL)
                return false;
            break;
        case FIXED64:
            if (end - at < 8)
                return false;
            at += 8;
            break;
        case FIXED32:
            if (end - at < 4)
                return false;
            at += 4;
            break;
        case BYTES: {
            if ((at = read_varint(at, end, &value)) == NULL || value > (uint64_t)(end - at))
                return false;
            uint64_t field = tag >> 3;
            message held = field < FIELDS ? (message)inner[kind][field] : LEAF;
            if (held != LEAF) {
                count_message(walk, held);
                if (!walk_message(walk, held, at, at + value, depth + 1))
                    return false;
            } else if (kind == SPAN && field == SPAN_ID_FIELD && (value != 8 || !add_id(walk, at))) {
                return false;
            }
            at += value;
            break;
        }
        default: return false;
        }
    }
    walk->fields += fields;
    return true;
}

bool otlp_walk_request(otlp_walk *walk, const uint8_t *bytes, size_t length)
{
    otlp_walk before = *walk;
    walk->ids_count = 0;
    if (walk_message(walk, REQUEST, bytes, bytes + length, 0))
        return true;
    // Undoes a partial count. The array of ids may have moved.
    before.ids = walk->ids;
    before.ids_count = 0;
    before.ids_room = walk->ids_room;
    *walk = before;
    return false;
}

void otlp_walk_free(otlp_walk *walk)
{
    free(walk->ids);
    *walk = (otlp_walk){0};
}
