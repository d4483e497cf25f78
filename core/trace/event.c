// SPDX-License-Identifier: Apache-2.0
//
// Events and links, with their attributes.
#include <string.h>

#include "trace/commit.h"
#include "trace/trace_state.h"
#include "trace/value.h"

static bool set_again(const nsp_attr *attributes, size_t count, size_t i)
{
    for (size_t later = i + 1; later < count; later++)
        if (attributes[later].key == attributes[i].key)
            return true;
    return false;
}

static inline bool put_attached_one(nsp__writer *to, const nsp_attr *attr)
{
    if (NSP__LIKELY(nsp__value_put_whole(to, attr)))
        return true;
    size_t room = nsp__value_share(to);
    return nsp__value_put(to, attr, nsp__value_bytes(to, attr, room), room);
}

// Leaves out those that are set again later in the list, and does not count them as dropped.
static __attribute__((noinline)) uint16_t put_crowded(nsp__writer *to, const nsp_attr *attributes,
                                                      size_t count, uint32_t limit, uint16_t *written)
{
    size_t kept = 0, dropped = 0;
    for (size_t i = 0; i < count; i++) {
        if (set_again(attributes, count, i))
            continue;
        bool put_it = dropped == 0 && kept < limit && put_attached_one(to, &attributes[i]);
        kept += put_it;
        dropped += !put_it;
    }
    *written = (uint16_t)kept;
    return (uint16_t)(dropped < UINT16_MAX ? dropped : UINT16_MAX);
}

// Writes the attributes of an event or link after it, and returns how many were dropped. If they are too many
// or too large, each key counts once, with its last value.
static __attribute__((noinline)) uint16_t put_attached(nsp__writer *to, const nsp_attr *attributes,
                                                       size_t count, uint32_t limit, uint16_t *written)
{
    uint32_t begin = to->cursor;
    *written = 0;
    if (attributes == NULL)
        return 0;
    if (limit > UINT16_MAX)
        limit = UINT16_MAX;
    size_t kept = 0;
    while (kept < count && kept < limit && put_attached_one(to, &attributes[kept]))
        kept++;
    *written = (uint16_t)kept;
    if (NSP__LIKELY(kept == count))
        return 0;
    to->cursor = begin;
    return put_crowded(to, attributes, count, limit, written);
}

// Relaxed: a thread may work on a span while the session ends and the next one sets its limits.
static uint32_t configured(const uint32_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static uint32_t attached_limit(bool event)
{
    return configured(event ? &nsp__trace_state.event_attributes : &nsp__trace_state.link_attributes);
}

void nsp__event_add(nsp_span *span, nsp_name name, nsp_ticks at, const nsp_attr *attributes, size_t count)
{
    nsp__writer to;
    if (!nsp__writer_begin(&to, span, NSP__DROPPED_EVENT))
        return;
    if (to.frame->events >= configured(&nsp__trace_state.events) ||
        nsp__writer_room(&to) < sizeof(nsp_item_event)) {
        nsp__writer_drop(&to, NSP__DROPPED_EVENT, 1);
    } else {
        to.frame->events += 1;
        uint64_t *item = nsp__writer_claim(&to, sizeof(nsp_item_event));
        nsp_item_event event = {nsp__ticks_or_now(at), 0, 0, 0};
        event.dropped_attributes =
            put_attached(&to, attributes, count, attached_limit(true), &event.attribute_count);
        memcpy(&item[1], &event, sizeof event);
        item[0] = nsp__writer_tag(&to, name, NSP_ITEM_EVENT, sizeof event);
    }
    nsp__writer_end(&to);
}

static void put_link(nsp__writer *to, const nsp_context *context, const nsp_attr *attributes, size_t count)
{
    char state[NSP_TRACESTATE_MAX + 1];
    size_t state_length = nsp_context_format_state(context, state, sizeof state);
    if (nsp__writer_room(to) < sizeof(nsp_item_link) + state_length)
        state_length = 0; // the link is complete without it
    uint64_t *item = nsp__writer_claim(to, sizeof(nsp_item_link) + state_length);
    nsp_item_link link;
    memset(&link, 0, sizeof link);
    memcpy(link.trace_id, context->trace_id, sizeof link.trace_id);
    memcpy(link.span_id, context->span_id, sizeof link.span_id);
    link.flags = context->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    link.remote = context->remote;
    memcpy((char *)&item[1] + sizeof link, state, state_length);
    if (count != 0)
        link.dropped_attributes =
            put_attached(to, attributes, count, attached_limit(false), &link.attribute_count);
    memcpy(&item[1], &link, sizeof link);
    item[0] = nsp__writer_tag(to, 0, NSP_ITEM_LINK, sizeof link + state_length);
}

void nsp__link_add(nsp_span *span, const nsp_context *context, const nsp_attr *attributes, size_t count)
{
    nsp__writer to;
    if (context == NULL || !nsp_context_valid(context) || !nsp__writer_begin(&to, span, NSP__DROPPED_LINK))
        return;
    if (to.frame->links >= configured(&nsp__trace_state.links) ||
        nsp__writer_room(&to) < sizeof(nsp_item_link)) {
        nsp__writer_drop(&to, NSP__DROPPED_LINK, 1);
    } else {
        to.frame->links += 1;
        put_link(&to, context, attributes, count);
    }
    nsp__writer_end(&to);
}
