// SPDX-License-Identifier: Apache-2.0
#include "context/tracestate.h"

#include "common/hex.h"
#include "context/threshold.h"
#include <string.h>

enum { MEMBERS_MAX = NSP__TRACESTATE_MEMBERS, KEY_MAX = 256, VALUE_MAX = 256, LONG_MEMBER = 128 };

// A slice of text: a member `key=value`, or a sub-key `key:value` of `ot`.
typedef nsp__tracestate_part slice;
typedef nsp__tracestate_list member_list;

static bool key_begins(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool key_goes_on(char c)
{
    return key_begins(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
}

static bool in_value(char c)
{
    return c >= 0x20 && c <= 0x7e && c != ',' && c != '=';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_ot(slice member)
{
    return member.length >= 3 && memcmp(member.text, "ot=", 3) == 0;
}

// Reads one member that begins at `at` and moves past it and the blanks after it. False if it is not well
// formed.
static bool take_member(const char **at, const char *end, slice *member)
{
    const char *start = *at, *p = start;
    if (!key_begins(*p))
        return false;
    while (p < end && key_goes_on(*p))
        p++;
    if (p - start > KEY_MAX || p == end || *p != '=')
        return false;
    const char *value = ++p;
    while (p < end && in_value(*p))
        p++;
    // Spaces at the end belong to the list, not to the value.
    const char *stop = p;
    while (stop > value && stop[-1] == ' ')
        stop--;
    if (stop == value || stop - value > VALUE_MAX)
        return false;
    while (p < end && is_blank(*p))
        p++;
    *at = p;
    *member = (slice){start, (size_t)(stop - start)};
    return p == end || *p == ',';
}

// Adds the text's members. False if it is not well formed, or if there are too many.
static bool split_members(member_list *list, const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    while (at < end) {
        if (is_blank(*at) || *at == ',') {
            at++;
            continue;
        }
        slice member;
        if (list->count == MEMBERS_MAX || !take_member(&at, end, &member))
            return false;
        list->members[list->count++] = member;
        list->bytes += member.length + 1;
    }
    return true;
}

static void remove_member(member_list *list, size_t index)
{
    list->bytes -= list->members[index].length + 1;
    list->count--;
    memmove(&list->members[index], &list->members[index + 1], (list->count - index) * sizeof(slice));
}

// Removes members from the right until the list has at most `limit` bytes. `ot` goes last: it is short, and
// without it no later receiver could tell how many traces this one stands for.
static void fit_members(member_list *list, size_t limit)
{
    enum { LONG_ONES, OTHERS, EVEN_OT };
    for (int pass = LONG_ONES; pass <= EVEN_OT; pass++) {
        for (size_t i = list->count; i-- > 0 && list->bytes > limit + 1;) {
            slice member = list->members[i];
            if (pass == EVEN_OT || (!is_ot(member) && (pass == OTHERS || member.length > LONG_MEMBER)))
                remove_member(list, i);
        }
    }
}

static size_t join_members(const member_list *list, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            out[length++] = ',';
        memcpy(out + length, list->members[i].text, list->members[i].length);
        length += list->members[i].length;
    }
    return length;
}

// The first `ot` of the list, as a list of sub-keys; empty if there is none.
static slice find_ot(const member_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_ot(list->members[i]))
            return (slice){list->members[i].text + 3, list->members[i].length - 3};
    return (slice){"", 0};
}

// Takes the next sub-key from the left of the list. False at its end.
static bool take_sub_key(slice *rest, slice *item)
{
    if (rest->length == 0)
        return false;
    const char *semicolon = memchr(rest->text, ';', rest->length);
    size_t length = semicolon != NULL ? (size_t)(semicolon - rest->text) : rest->length;
    *item = (slice){rest->text, length};
    size_t taken = semicolon != NULL ? length + 1 : length;
    *rest = (slice){rest->text + taken, rest->length - taken};
    return true;
}

static bool sub_key_is(slice item, const char *prefix)
{
    return item.length >= 3 && memcmp(item.text, prefix, 3) == 0;
}

// The digits after the prefix, at least `least` and at most 14, read as the left part of a 56-bit number.
static uint64_t read_digits(slice item, size_t least)
{
    size_t count = item.length - 3;
    if (count < least || count > NSP__THRESHOLD_DIGITS)
        return NSP_CONTEXT_UNKNOWN;
    uint64_t value = 0;
    for (size_t i = 3; i < item.length; i++) {
        int digit = nsp__hex_digit_lower(item.text[i]);
        if (digit < 0)
            return NSP_CONTEXT_UNKNOWN;
        value = value << 4 | (uint64_t)digit;
    }
    return value << (4 * (NSP__THRESHOLD_DIGITS - count));
}

// Reads the values in the text. Of several well-formed sub-keys with the same key the first counts.
static void read_ot(slice ot, uint64_t *threshold, uint64_t *randomness)
{
    *threshold = *randomness = NSP_CONTEXT_UNKNOWN;
    slice item;
    while (take_sub_key(&ot, &item)) {
        if (*threshold == NSP_CONTEXT_UNKNOWN && sub_key_is(item, "th:"))
            *threshold = read_digits(item, 1);
        else if (*randomness == NSP_CONTEXT_UNKNOWN && sub_key_is(item, "rv:"))
            *randomness = read_digits(item, NSP__THRESHOLD_DIGITS);
    }
}

// True for the list that nanospan itself sends: one `ot` with nothing but a well-formed threshold. Such a text
// is forwarded unchanged.
static bool only_threshold(const char *text, size_t length, uint64_t *threshold)
{
    enum { PREFIX = 6, MOST = PREFIX + NSP__THRESHOLD_DIGITS };
    if (length <= PREFIX || length > MOST || memcmp(text, "ot=th:", PREFIX) != 0)
        return false;
    *threshold = read_digits((slice){text + 3, length - 3}, 1);
    return *threshold != NSP_CONTEXT_UNKNOWN;
}

// key:value, where the key is a lower-case letter followed by such letters and digits, and the value consists
// of letters, digits and ".", "_", "-": OpenTelemetry's grammar for the contents of `ot`.
static bool is_sub_key(slice item)
{
    const char *at = item.text, *end = item.text + item.length;
    if (at == end || *at < 'a' || *at > 'z')
        return false;
    while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9')))
        at++;
    if (at == end || *at++ != ':')
        return false;
    for (; at < end; at++) {
        char lower = *at | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(*at >= '0' && *at <= '9') && *at != '.' && *at != '_' &&
            *at != '-')
            return false;
    }
    return true;
}

// True for a member that can be forwarded unchanged: each sub-key is well formed, and `th` and `rv` occur at
// most once.
static bool is_tidy(slice ot)
{
    slice item;
    bool threshold = false, randomness = false;
    if (ot.length == 0 || ot.text[ot.length - 1] == ';')
        return false;
    while (take_sub_key(&ot, &item)) {
        if (!is_sub_key(item))
            return false;
        bool *seen = sub_key_is(item, "th:") ? &threshold : sub_key_is(item, "rv:") ? &randomness : NULL;
        if (seen == NULL)
            continue;
        if (*seen || read_digits(item, seen == &threshold ? 1 : NSP__THRESHOLD_DIGITS) == NSP_CONTEXT_UNKNOWN)
            return false;
        *seen = true;
    }
    return true;
}

// Rewrites the member: threshold, randomness, then those other well-formed sub-keys of the old one that fit
// beside ours. Returns its length, 0 if there is nothing to write.
static size_t rebuild_ot(char out[NSP__TRACESTATE_OT_SIZE], slice old, uint64_t threshold,
                         uint64_t randomness)
{
    size_t length = 3;
    memcpy(out, "ot=", 3);
    if (threshold != NSP_CONTEXT_UNKNOWN) {
        char digits[NSP__THRESHOLD_TEXT_SIZE];
        size_t count = nsp__threshold_format(threshold, digits);
        memcpy(out + length, "th:", 3);
        memcpy(out + length + 3, digits, count);
        length += 3 + count;
    }
    if (randomness != NSP_CONTEXT_UNKNOWN) {
        if (length > 3)
            out[length++] = ';';
        memcpy(out + length, "rv:", 3);
        for (unsigned i = 0; i < NSP__THRESHOLD_DIGITS; i++)
            out[length + 3 + i] = "0123456789abcdef"[randomness >> (52 - 4 * i) & 0xf];
        length += 3 + NSP__THRESHOLD_DIGITS;
    }
    slice item;
    while (take_sub_key(&old, &item)) {
        bool first = length == 3;
        if (!is_sub_key(item) || sub_key_is(item, "th:") || sub_key_is(item, "rv:") ||
            length + !first + item.length > NSP__TRACESTATE_OT_SIZE)
            continue;
        if (!first)
            out[length++] = ';';
        memcpy(out + length, item.text, item.length);
        length += item.length;
    }
    return length > 3 ? length : 0;
}

static size_t count_ot(const member_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += is_ot(list->members[i]);
    return count;
}

// Puts an `ot` with these values on the left of the list, in place of the existing ones.
static void replace_ot(member_list *list, char out[NSP__TRACESTATE_OT_SIZE], uint64_t threshold,
                       uint64_t randomness)
{
    size_t length = rebuild_ot(out, find_ot(list), threshold, randomness);
    for (size_t i = list->count; i-- > 0;)
        if (is_ot(list->members[i]))
            remove_member(list, i);
    if (length == 0)
        return;
    if (list->count == MEMBERS_MAX)
        remove_member(list, MEMBERS_MAX - 1);
    memmove(&list->members[1], &list->members[0], list->count * sizeof(slice));
    list->members[0] = (slice){out, length};
    list->count++;
    list->bytes += length + 1;
}

void nsp__tracestate_begin(nsp__tracestate_list *list)
{
    list->count = list->bytes = 0;
    list->bad = false;
}

bool nsp__tracestate_add(nsp__tracestate_list *list, const char *text, size_t length)
{
    if (!list->bad && length != 0)
        list->bad = !split_members(list, text, length);
    return !list->bad;
}

void nsp__tracestate_end(nsp__tracestate_list *list, nsp_context *context)
{
    char ot[NSP__TRACESTATE_OT_SIZE];
    size_t kept = 0;
    context->threshold = context->randomness = NSP_CONTEXT_UNKNOWN;
    if (!list->bad && list->count != 0) {
        read_ot(find_ot(list), &context->threshold, &context->randomness);
        size_t many = count_ot(list);
        if (many > 1 || (many == 1 && !is_tidy(find_ot(list))))
            replace_ot(list, ot, context->threshold, context->randomness);
        fit_members(list, NSP_TRACESTATE_MAX);
        kept = join_members(list, context->tracestate);
    }
    context->tracestate_length = (uint16_t)kept;
    memset(context->tracestate + kept, 0, NSP_TRACESTATE_MAX - kept);
}

static void set_text(nsp_context *context, const char *text, size_t length)
{
    memset(context->tracestate, 0, NSP_TRACESTATE_MAX);
    if (length != 0)
        memcpy(context->tracestate, text, length);
    context->tracestate_length = (uint16_t)length;
}

void nsp__tracestate_read(nsp_context *context, const char *text, size_t length)
{
    nsp__tracestate_list list;
    context->threshold = context->randomness = NSP_CONTEXT_UNKNOWN;
    if (length == 0 || only_threshold(text, length, &context->threshold)) {
        set_text(context, text, length);
        return;
    }
    nsp__tracestate_begin(&list);
    nsp__tracestate_add(&list, text, length);
    nsp__tracestate_end(&list, context);
}

static uint64_t known_or_unknown(uint64_t value)
{
    return value < NSP__THRESHOLD_NEVER ? value : NSP_CONTEXT_UNKNOWN;
}

size_t nsp__tracestate_write(const nsp_context *context, char *out, size_t limit)
{
    uint64_t threshold = known_or_unknown(context->threshold);
    uint64_t randomness = known_or_unknown(context->randomness);
    if (context->tracestate_length == 0 && threshold == NSP_CONTEXT_UNKNOWN &&
        randomness == NSP_CONTEXT_UNKNOWN)
        return 0;

    uint64_t said_threshold, said_randomness;
    if (randomness == NSP_CONTEXT_UNKNOWN && context->tracestate_length <= limit &&
        only_threshold(context->tracestate, context->tracestate_length, &said_threshold) &&
        threshold == said_threshold) {
        memcpy(out, context->tracestate, context->tracestate_length);
        return context->tracestate_length;
    }

    // The user may fill in the struct, so its text is not trusted to be well formed.
    member_list list;
    nsp__tracestate_begin(&list);
    if (context->tracestate_length > NSP_TRACESTATE_MAX ||
        !nsp__tracestate_add(&list, context->tracestate, context->tracestate_length))
        nsp__tracestate_begin(&list);

    size_t many = count_ot(&list);
    read_ot(find_ot(&list), &said_threshold, &said_randomness);
    char ot[NSP__TRACESTATE_OT_SIZE];
    if (threshold != said_threshold || randomness != said_randomness || many > 1 ||
        (many == 1 && !is_tidy(find_ot(&list))))
        replace_ot(&list, ot, threshold, randomness);
    fit_members(&list, limit < NSP_TRACESTATE_MAX ? limit : NSP_TRACESTATE_MAX);
    return join_members(&list, out);
}
