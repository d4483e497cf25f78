// SPDX-License-Identifier: Apache-2.0
//
// B3, in a single field or in several. Both forms are read, whichever was configured. If both are present, a
// valid single field wins, and the others add what only they say about the same trace. The sender's parent id
// is neither used nor sent: here the two sides of a request are two spans.
#include <strings.h>

#include "common/hex.h"
#include "propagation/field.h"
#include "propagation/formats.h"
#include "propagation/same_trace.h"
#include "context/context.h"

enum {
    TRACE_DIGITS = 2 * NSP_TRACE_ID_SIZE,
    SPAN_DIGITS = 2 * NSP_SPAN_ID_SIZE,
    SINGLE_SIZE = TRACE_DIGITS + 1 + SPAN_DIGITS + 2 + 1 // with the state, and zero terminated
};

// ---- reading ----

// Exactly this many bytes, not all zero.
static bool read_id(uint8_t *out, size_t bytes, nsp__slice digits)
{
    uint32_t any = 0;
    bool ok = digits.length == 2 * bytes;
    for (size_t at = 0; ok && at < bytes; at += 4)
        ok = nsp__hex_decode8(out + at, digits.text + 2 * at, &any);
    return ok && any != 0;
}

// 64-bit ids are the right half of a 128-bit id.
static bool read_ids(nsp_context *out, nsp__slice trace, nsp__slice span)
{
    size_t bytes = trace.length == TRACE_DIGITS / 2 ? NSP_TRACE_ID_SIZE / 2 : NSP_TRACE_ID_SIZE;
    if (!read_id(out->trace_id + NSP_TRACE_ID_SIZE - bytes, bytes, trace) ||
        !read_id(out->span_id, NSP_SPAN_ID_SIZE, span))
        return false;
    out->remote = true;
    out->threshold = out->randomness = NSP_CONTEXT_UNKNOWN;
    return true;
}

// The flags of a sampling state. False if it is not a valid one.
static bool read_state(char state, uint8_t *flags)
{
    switch (state) {
    case '0': *flags = 0; return true;
    case '1': *flags = NSP_TRACE_FLAG_SAMPLED; return true;
    case 'd': *flags = NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_DEBUG; return true;
    default: return false;
    }
}

// {trace}-{span}[-{state}][-{parent}], or {state}.
static bool read_single(nsp_context *out, nsp__slice value)
{
    nsp__slice rest = value, trace, span, part;
    nsp__context_invalid(out);
    if (value.length == 1) {
        bool ok = read_state(value.text[0], &out->flags);
        out->flags |= NSP_TRACE_FLAG_DECIDED;
        return ok;
    }
    if (!nsp__slice_split(&rest, '-', &trace) || !nsp__slice_split(&rest, '-', &span) ||
        !read_ids(out, trace, span))
        return false;
    out->flags = NSP_TRACE_FLAG_DEFERRED;
    if (!nsp__slice_split(&rest, '-', &part))
        return true;
    if (part.length == 1) {
        if (!read_state(part.text[0], &out->flags))
            return false;
        if (!nsp__slice_split(&rest, '-', &part))
            return true;
    }
    uint8_t parent[NSP_SPAN_ID_SIZE];
    return read_id(parent, sizeof parent, part) && rest.text == NULL;
}

static bool is_word(nsp__slice value, const char *word)
{
    return value.length == strlen(word) && strncasecmp(value.text, word, value.length) == 0;
}

// Reads the fields for flags and sampling. False if they say nothing. With the debug flag, no sampling field
// is needed.
static bool read_states(const nsp_carrier *carrier, bool *any, uint8_t *flags)
{
    nsp__slice value;
    *any = nsp__field_get(carrier, NSP__B3_FLAGS, 0, &value);
    if (*any && is_word(value, "1"))
        return read_state('d', flags);
    if (!nsp__field_get(carrier, NSP__B3_SAMPLED, 0, &value))
        return false;
    *any = true;
    if (is_word(value, "1") || is_word(value, "true")) // words: from senders older than the specification
        return read_state('1', flags);
    if (is_word(value, "0") || is_word(value, "false"))
        return read_state('0', flags);
    return false;
}

static nsp__found read_multi(nsp_context *out, const nsp_carrier *carrier)
{
    nsp__slice trace, span;
    bool states;
    nsp__context_invalid(out);
    bool has_trace = nsp__field_get(carrier, NSP__B3_TRACE_ID, 0, &trace);
    bool has_span = nsp__field_get(carrier, NSP__B3_SPAN_ID, 0, &span);
    bool decided = read_states(carrier, &states, &out->flags);
    if (!has_trace && !has_span) {
        out->flags |= NSP_TRACE_FLAG_DECIDED;
        return decided ? NSP__FOUND : states ? NSP__BAD : NSP__ABSENT;
    }
    if (!has_trace || !has_span || !read_ids(out, trace, span))
        return NSP__BAD;
    if (!decided)
        out->flags = NSP_TRACE_FLAG_DEFERRED;
    return NSP__FOUND;
}

nsp__found nsp__b3_extract(nsp_context *out, const nsp_carrier *carrier)
{
    nsp__slice value;
    nsp_context several;
    bool single = nsp__field_get(carrier, NSP__B3, 0, &value);
    bool good = single && read_single(out, value);
    nsp__found found = read_multi(good ? &several : out, carrier);
    if (good && found == NSP__FOUND)
        nsp__context_add(out, &several);
    return good ? NSP__FOUND : found == NSP__ABSENT && single ? NSP__BAD : found;
}

// ---- writing ----

static void write_digits(char *out, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at += 4)
        nsp__hex_encode4(out + 2 * at, bytes + at);
}

// 0 for "deferred".
static char state_of(const nsp_context *context)
{
    if (context->flags & NSP_TRACE_FLAG_DEBUG)
        return 'd';
    if (context->flags & NSP_TRACE_FLAG_DEFERRED)
        return '\0';
    return context->flags & NSP_TRACE_FLAG_SAMPLED ? '1' : '0';
}

static bool decided_without_ids(const nsp_context *context)
{
    return (context->flags & NSP_TRACE_FLAG_DECIDED) != 0 && !nsp_context_valid(context);
}

bool nsp__b3_inject_single(const nsp_context *context, const nsp_carrier *carrier)
{
    char text[SINGLE_SIZE], *end = text;
    char state = state_of(context);
    if (nsp_context_valid(context)) {
        write_digits(text, context->trace_id, NSP_TRACE_ID_SIZE);
        text[TRACE_DIGITS] = '-';
        write_digits(text + TRACE_DIGITS + 1, context->span_id, NSP_SPAN_ID_SIZE);
        end += TRACE_DIGITS + 1 + SPAN_DIGITS;
        if (state != '\0')
            *end++ = '-';
    } else if (!decided_without_ids(context)) {
        return true;
    }
    if (state != '\0')
        *end++ = state;
    *end = '\0';
    return nsp__field_set(carrier, NSP__B3, text, (size_t)(end - text));
}

bool nsp__b3_inject_multi(const nsp_context *context, const nsp_carrier *carrier)
{
    char digits[TRACE_DIGITS + 1];
    bool valid = nsp_context_valid(context);
    if (!valid && !decided_without_ids(context))
        return true;
    if (valid) {
        write_digits(digits, context->trace_id, NSP_TRACE_ID_SIZE);
        digits[TRACE_DIGITS] = '\0';
        if (!nsp__field_set(carrier, NSP__B3_TRACE_ID, digits, TRACE_DIGITS))
            return false;
        write_digits(digits, context->span_id, NSP_SPAN_ID_SIZE);
        digits[SPAN_DIGITS] = '\0';
        if (!nsp__field_set(carrier, NSP__B3_SPAN_ID, digits, SPAN_DIGITS))
            return false;
    }
    switch (state_of(context)) {
    case 'd': return nsp__field_set(carrier, NSP__B3_FLAGS, "1", 1);
    case '1': return nsp__field_set(carrier, NSP__B3_SAMPLED, "1", 1);
    case '0': return nsp__field_set(carrier, NSP__B3_SAMPLED, "0", 1);
    default: return true;
    }
}
