// SPDX-License-Identifier: Apache-2.0
//
// Beginning spans with options (explicit parents, new roots, kinds, links), and detached spans.
#include <string.h>

#include "context/context.h"
#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/detached.h"
#include "trace/head_decision.h"
#include "trace/span_context.h"
#include "trace/speculation.h"
#include "trace/misuse.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

#define NOINLINE __attribute__((noinline))

// The caller's options, or the defaults. If the caller's struct is an older, shorter one, the result is *own:
// the members that it has, and the defaults of the others.
static const nsp_span_options *checked(const nsp_span_options *options, nsp_span_options *own)
{
    static const nsp_span_options as_usual = NSP_SPAN_OPTIONS_INIT;
    if (options == NULL)
        return &as_usual;
    if (options->size >= sizeof *own)
        return options;
    *own = as_usual;
    memcpy(own, options, options->size);
    return own;
}

// The explicit parent: a context, or a decision for the trace that begins.
static const nsp_context *parent_of(const nsp_span_options *options)
{
    const nsp_context *parent = options->parent;
    bool given =
        parent != NULL && (nsp__context_has_ids(parent) || (parent->flags & NSP_TRACE_FLAG_DECIDED) != 0);
    return given ? parent : NULL;
}

static NOINLINE nsp_span *described(nsp_span *span, const nsp_span_options *options)
{
    unsigned kind = (unsigned)options->kind;
    nsp__frame_of(span)->record.kind = (uint8_t)(kind <= NSP_KIND_CONSUMER ? kind : NSP_KIND_INTERNAL);
    for (size_t i = 0; options->links != NULL && i < options->link_count; i++)
        nsp_span_add_link_with(span, &options->links[i].context, options->links[i].attributes,
                               options->links[i].attribute_count);
    return span;
}

static inline nsp_span *describe(nsp_span *span, const nsp_span_options *options)
{
    return nsp_span_recording(span) ? described(span, options) : span;
}

// True if the thread has the policy in force.
static bool up_to_date(const nsp__producer *producer)
{
    return !nsp__wiped(producer) &&
           producer->hot.generation ==
               __atomic_load_n(&producer->hot.skips->generation, __ATOMIC_RELAXED); // N1
}

static NOINLINE nsp__producer *make_ready(void)
{
    nsp_status status;
    if (!__atomic_load_n(&nsp__active, __ATOMIC_RELAXED))
        return NULL;
    for (int tries = 0; tries < 2; tries++) {
        nsp__producer *producer = nsp__producer_self();
        if (producer == NULL)
            producer = nsp__producer_attach(NULL, &status);
        if (producer == NULL)
            break;
        if (nsp__is_busy(producer)) {
            if (nsp__parents_state())
                return NULL;
            nsp__count_nested(&producer->home.slot->counters.dropped_in_signal);
            return NULL;
        }
        if (up_to_date(producer))
            return producer;
        if (nsp__parents_state())
            return NULL;
        nsp__entry *top = nsp__busy_take_top(producer);
        bool session = nsp__sampler_refresh(producer);
        if (!session)
            nsp__thread_v4 = &nsp__nobody; // first, as in nsp__begin_special
        nsp__busy_end(producer, top);
        if (session)
            return producer;
    }
    nsp__count_unattached(offsetof(nsp__control, unattached_attempted));
    return NULL;
}

// The thread's state with a policy that is up to date. NULL if no span can be begun; where that loses one, it
// is counted.
static inline nsp__producer *ready(void)
{
    nsp__producer *producer = nsp__producer_self();
    bool is = producer != NULL && !nsp__is_busy(producer) && up_to_date(producer);
    return NSP__LIKELY(is && __atomic_load_n(&nsp__active, __ATOMIC_RELAXED)) ? producer : make_ready();
}

static uintptr_t publish(nsp__producer *producer, nsp__frame *frame, bool recording)
{
    uintptr_t handle = recording ? nsp__frame_handle(frame, frame->record.span_id, NSP__RECORDING)
                                 : nsp__frame_handle(frame, ++producer->unrecorded, 0);
    nsp__frame_publish(frame, handle);
    return handle;
}

// ---- on the stack ----

static nsp_span *begin_too_deep(nsp__producer *producer, nsp__entry *top)
{
    nsp__count(&producer->home.slot->counters.attempted);
    nsp__count(&producer->home.slot->counters.dropped_too_deep);
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__UNSAMPLED_CHILD;
}

// True for the parent of a local root.
static bool parent_is_elsewhere(const nsp_context *parent)
{
    return parent == NULL || parent->remote || !nsp__context_has_ids(parent);
}

// The same where a rule may look at the span, or at one below it.
static NOINLINE nsp_span *begin_apart_by_rule(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                              const nsp_context *parent, nsp_ticks start)
{
    uintptr_t handle;
    top = nsp__stack_settle(producer, top);
    if (parent_is_elsewhere(parent) && nsp__ruled_begin_apart(producer, top, name, start, parent, &handle))
        return (nsp_span *)handle;
    nsp__entry *under = nsp__stack_suspend(producer, top);
    if (under == NULL || under[1].frame == NULL)
        return begin_too_deep(producer, nsp__stack_settle(producer, top));
    nsp__frame *frame = under != top ? under->frame : under[1].frame;
    nsp__frame_open(frame, name, nsp__ticks_or_now(start));
    bool recording = nsp__head_decide(producer, frame, name, parent);
    if (recording)
        nsp__cpu_begin_if_root(producer, frame, under);
    under[1].current = handle = publish(producer, frame, recording);
    nsp__busy_end(producer, under + 1);
    return (nsp_span *)handle;
}

static nsp_span *begin_apart(nsp__producer *producer, nsp_name name, const nsp_context *parent,
                             nsp_ticks start)
{
    nsp__entry *top = nsp__busy_take_top(producer);
    if (NSP__UNLIKELY(producer->outliers))
        return begin_apart_by_rule(producer, top, name, parent, start);
    nsp__frame *frame = top[1].frame;
    if (frame == NULL)
        return begin_too_deep(producer, top);
    nsp__frame_open(frame, name, nsp__ticks_or_now(start));
    bool recording = nsp__head_decide(producer, frame, name, parent);
    if (recording)
        nsp__cpu_begin_if_root(producer, frame, top);
    uintptr_t handle = top[1].current = publish(producer, frame, recording);
    nsp__busy_end(producer, top + 1);
    return (nsp_span *)handle;
}

static NOINLINE nsp_span *begin_as_told(nsp_name name, const nsp_span_options *given)
{
    nsp_span_options own;
    const nsp_span_options *options = checked(given, &own);
    const nsp_context *parent = options->new_root ? NULL : parent_of(options);
    if (parent == NULL && !options->new_root)
        return describe(nsp_span_begin_at(name, options->start), options);
    nsp__producer *producer = ready();
    if (producer == NULL)
        return NULL;
    return describe(begin_apart(producer, name, parent, options->start), options);
}

// The common options leave the parent to the stack. They are handled here, where no register needs to be saved
// for a span that does not record.
nsp_span *nsp_span_begin_with(nsp_name name, const nsp_span_options *given)
{
    bool usual = given != NULL && given->size >= sizeof *given && given->parent == NULL && !given->new_root;
    if (NSP__UNLIKELY(!usual))
        return begin_as_told(name, given);
    return describe(nsp_span_begin_at(name, given->start), given);
}

// ---- detached ----
//
// All of this with the producer busy, from the moment on at which what is current was looked at.

// An identity that is made before it is known which pool the span needs a place from. Only the members of the
// frame that an identity needs are set.
typedef struct identity_draft {
    _Alignas(NSP__FRAME_ALIGN) nsp__frame frame;
    uint8_t tracestate[NSP__ITEM_BYTES(NSP_TRACESTATE_MAX)];
} identity_draft;

static void draft_open(identity_draft *draft)
{
    draft->frame.cursor = sizeof(nsp__record);
    draft->frame.limit = sizeof(nsp__record) + sizeof draft->tracestate;
}

static void identity_copy(nsp__frame *frame, const nsp__frame *draft)
{
    const nsp__record *from = &draft->record;
    nsp__record *to = &frame->record;
    *(nsp__pair *)to->trace_id = *(const nsp__pair *)from->trace_id;
    *(nsp__pair *)(void *)&to->span_id = *(const nsp__pair *)(const void *)&from->span_id;
    to->local_root_id = from->local_root_id;
    nsp__record_set_traits(to, nsp__record_traits(from));
    if ((from->flags & NSP__RECORD_TRACESTATE) != 0)
        nsp__tracestate_inherit(frame, draft);
}

// The places for unsampled spans have run out: nothing is lost but the span's identity.
static NOINLINE nsp_span *begin_without_identity(nsp__producer *producer, nsp__entry *top)
{
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__UNSAMPLED_CHILD;
}

static NOINLINE nsp_span *detached_full(nsp__producer *producer, nsp__entry *top)
{
    nsp__count(&producer->home.slot->counters.dropped_detached_full);
    return begin_without_identity(producer, top);
}

// Takes a place for a span that does not record, from the pool of such spans.
static NOINLINE nsp_span *begin_unsampled(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                          nsp_ticks start, const nsp__frame *identity)
{
    nsp__frame *frame = nsp__detached_take(producer, &producer->unsampled);
    if (frame == NULL)
        return begin_without_identity(producer, top);
    nsp__frame_open(frame, name, start);
    identity_copy(frame, identity);
    nsp_span *span = (nsp_span *)publish(producer, frame, false);
    nsp__busy_end(producer, top);
    return span;
}

// Decides first, and then takes a place from the right pool. inert: the context of the current span if that
// does not record, otherwise NULL.
static NOINLINE nsp_span *decide_and_take(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                          nsp_ticks start, const nsp_context *parent,
                                          const nsp_context *inert)
{
    identity_draft draft;
    draft_open(&draft);
    if (inert != NULL) {
        nsp__identity_inert(producer, &draft.frame, inert);
        return begin_unsampled(producer, top, name, start, &draft.frame);
    }
    if (!nsp__head_decide(producer, &draft.frame, name, parent))
        return begin_unsampled(producer, top, name, start, &draft.frame);
    nsp__frame *frame = nsp__detached_take(producer, &producer->recorded);
    if (frame == NULL)
        return detached_full(producer, top);
    nsp__frame_open(frame, name, start);
    identity_copy(frame, &draft.frame);
    nsp__cpu_begin_if_root(producer, frame, NULL);
    nsp_span *span = (nsp_span *)publish(producer, frame, true);
    nsp__busy_end(producer, top);
    return span;
}

// True if the span will record, unless it is refused because the ring is too full.
static inline __attribute__((always_inline)) bool surely_sampled(nsp__producer *producer, nsp_name name,
                                                                 const nsp_context *parent)
{
    if (parent == NULL)
        return __atomic_load_n(&producer->home.slot->skips.left[nsp__sampler_settled_class(producer, name)],
                               __ATOMIC_RELAXED) <= 0;
    return (parent->flags & NSP_TRACE_FLAG_SAMPLED) != 0 &&
           (!parent->remote || producer->parent_policy == NSP_PARENT_FOLLOW);
}

// For the child of a current span that records, and for a span that surely will: writes its identity straight
// into its frame.
static inline __attribute__((always_inline)) nsp_span *take_and_decide(nsp__producer *producer,
                                                                       nsp__entry *top, nsp_name name,
                                                                       nsp_ticks start,
                                                                       const nsp_context *parent, bool child)
{
    nsp__frame *frame = nsp__detached_take(producer, &producer->recorded);
    if (frame == NULL) {
        nsp__count(&producer->home.slot->counters.attempted);
        return detached_full(producer, top);
    }
    nsp__frame_open(frame, name, start);
    if (child) {
        const nsp__frame *above = nsp__frame_of((nsp_span *)top->current);
        nsp__record_child_of(producer, producer->home.slot, &frame->record, &above->record);
        if (nsp__record_inherits_uncommon(&frame->record))
            nsp__inherit_uncommon(frame, above);
    } else if (!nsp__head_decide(producer, frame, name, parent)) {
        nsp_span *unsampled = begin_unsampled(producer, top, name, start, frame);
        nsp__detached_release(producer, frame);
        return unsampled;
    }
    nsp__cpu_begin_if_root(producer, frame, NULL);
    nsp_span *span = (nsp_span *)publish(producer, frame, true);
    nsp__busy_end(producer, top);
    return span;
}

// A local root that a rule looks at. NULL: it is none.
static NOINLINE nsp_span *begin_detached_root(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                              nsp_ticks start, const nsp_context *parent)
{
    if (!nsp__ruled_name(producer, name))
        return NULL;
    identity_draft draft;
    draft_open(&draft);
    bool sampled = nsp__head_decide(producer, &draft.frame, name, parent);
    bool speculates = !sampled && producer->ruled_classes[nsp__sampler_class(producer, name)].speculates;
    nsp__frame *frame = sampled || speculates ? nsp__detached_take(producer, &producer->recorded) : NULL;
    if (sampled && frame == NULL)
        return detached_full(producer, top);
    const bool recording = frame != NULL;
    if (!recording)
        frame = nsp__detached_take(producer, &producer->unsampled);
    if (frame == NULL)
        return begin_without_identity(producer, top);
    nsp__frame_open(frame, name, start);
    nsp__cpu_begin(producer, frame);
    if (recording && !sampled) {
        nsp__ruled_speculate(&draft.frame, nsp__span_id_draw(producer) | 1);
        __atomic_fetch_add(&producer->speculation->apart_begun, 1, __ATOMIC_RELEASE); // C1: to C2
    }
    identity_copy(frame, &draft.frame);
    frame->detached = NSP__DETACHED_RULED;
    frame->reserved = 0;
    nsp_span *span = (nsp_span *)publish(producer, frame, recording);
    nsp__busy_end(producer, top);
    return span;
}

// A span under a speculative one: it does not record.
static NOINLINE nsp_span *begin_detached_under(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                               nsp_ticks start)
{
    nsp_context around;
    nsp__context_invalid(&around);
    nsp__ruled_left_out(producer, top);
    nsp__context_around(producer, top, &around);
    return nsp_context_valid(&around) ? decide_and_take(producer, top, name, start, NULL, &around)
                                      : begin_without_identity(producer, top);
}

// With the producer busy.
static inline __attribute__((always_inline)) nsp_span *begin_detached_usual(nsp__producer *producer,
                                                                            nsp__entry *top, nsp_name name,
                                                                            nsp_ticks start,
                                                                            const nsp_context *parent,
                                                                            bool apart)
{
    if (!apart && nsp__has_frame((nsp_span *)top->current) && !nsp__session_over(producer))
        top = nsp__stack_drop_ended(producer, top);
    apart = apart || top->current == NSP__NOTHING;
    bool child = !apart && (top->current & NSP__RECORDING) != 0;
    if (child || (apart && surely_sampled(producer, name, parent)))
        return take_and_decide(producer, top, name, start, parent, child);
    if (apart)
        return decide_and_take(producer, top, name, start, parent, NULL);
    nsp_context around;
    nsp__context_invalid(&around);
    nsp__context_around(producer, top, &around);
    return nsp_context_valid(&around) ? decide_and_take(producer, top, name, start, NULL, &around)
                                      : begin_without_identity(producer, top);
}

// The same where there are outlier rules.
static NOINLINE nsp_span *begin_detached_by_rule(nsp__producer *producer, nsp__entry *top, nsp_name name,
                                                 nsp_ticks start, const nsp_context *parent, bool apart)
{
    if (nsp__has_frame((nsp_span *)top->current) && !nsp__session_over(producer))
        top = nsp__stack_drop_ended(producer, top);
    top = nsp__stack_settle(producer, top);
    const nsp_span *current = (const nsp_span *)top->current;
    nsp_span *span = NULL;
    if (apart || top->current == NSP__NOTHING) {
        if (parent_is_elsewhere(parent))
            span = begin_detached_root(producer, top, name, start, parent);
    } else if (top->current == NSP__SUSPENDED ||
               (nsp__has_frame(current) && nsp_span_recording(current) && nsp__span_open(current) &&
                nsp__frame_speculative(nsp__frame_of(current)))) {
        span = begin_detached_under(producer, top, name, start);
    }
    return span != NULL ? span : begin_detached_usual(producer, top, name, start, parent, apart);
}

nsp_span *nsp_span_begin_detached(nsp_name name, const nsp_span_options *given)
{
    nsp_span_options own;
    const nsp_span_options *options = checked(given, &own);
    nsp__producer *producer = ready();
    if (producer == NULL)
        return NULL;
    const nsp_context *parent = options->new_root ? NULL : parent_of(options);
    bool apart = options->new_root || parent != NULL;
    nsp_ticks start = nsp__ticks_or_now(options->start);
    nsp__entry *top = nsp__busy_take_top(producer);
    nsp_span *span = NSP__UNLIKELY(producer->outliers)
                         ? begin_detached_by_rule(producer, top, name, start, parent, apart)
                         : begin_detached_usual(producer, top, name, start, parent, apart);
    return describe(span, options);
}
