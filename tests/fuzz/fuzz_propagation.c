// SPDX-License-Identifier: Apache-2.0
//
// Input: a byte that chooses the formats, then header fields as lines of "name: value". Injecting what was
// extracted and extracting it again gives the same, and a list in one field means the same as in two.
#include "fuzz.h"

#include "propagation/propagators.h"
#include "support/headers.h"

static const char *const lists[] = {"tracecontext,baggage", "tracecontext,b3,baggage",
                                    "b3,tracecontext",      "b3multi,tracecontext,baggage",
                                    "tracecontext",         "none"};

static headers request, sent;

static void read_lines(const uint8_t *bytes, size_t size)
{
    headers_clear(&request);
    for (char *line; request.count < 64 && (line = fuzz_line(&bytes, &size)) != NULL; free(line)) {
        char name[32] = "";
        char *colon = strchr(line, ':');
        size_t length = colon != NULL ? (size_t)(colon - line) : 0;
        if (length == 0 || length >= sizeof name)
            continue;
        memcpy(name, line, length);
        headers_addn(&request, name, colon + 1, strlen(colon + 1));
    }
}

static bool same_context(const nsp_context *a, const nsp_context *b)
{
    return memcmp(a->trace_id, b->trace_id, sizeof a->trace_id) == 0 &&
           memcmp(a->span_id, b->span_id, sizeof a->span_id) == 0 && a->threshold == b->threshold &&
           a->randomness == b->randomness && a->tracestate_length == b->tracestate_length &&
           memcmp(a->tracestate, b->tracestate, sizeof a->tracestate) == 0;
}

// Splits the first tracestate into two fields at its first comma.
static void split_list(void)
{
    for (size_t i = 0; i < request.count; i++) {
        if (strcasecmp(request.fields[i].name, "tracestate") != 0)
            continue;
        char *comma = memchr(request.fields[i].value, ',', request.fields[i].length);
        if (comma == NULL || request.count == HEADERS_MAX || i + 1 != request.count)
            return;
        size_t before = (size_t)(comma - request.fields[i].value);
        headers_addn(&request, "tracestate", comma + 1, request.fields[i].length - before - 1);
        request.fields[i].length = before;
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static nsp_incoming first, again;
    const uint8_t choice = size != 0 ? bytes[0] : 0;
    nsp__propagators_choose(lists[choice % (sizeof lists / sizeof lists[0])]);
    read_lines(bytes + (size != 0), size - (size != 0));
    nsp_carrier from = headers_carrier(&request), to = headers_carrier(&sent);
    memset(&first, 0xa5, sizeof first);
    nsp_status status = nsp_extract(&first, &from);
    bool something = nsp_context_valid(&first.context) || (first.context.flags & NSP_TRACE_FLAG_DECIDED) != 0;
    MUST((status == NSP_OK) == something);
    MUST(!nsp_context_valid(&first.context) || first.context.remote);
    MUST(first.context.tracestate_length <= NSP_TRACESTATE_MAX && first.baggage.length <= NSP_BAGGAGE_MAX);
    MUST(strlen(first.baggage.text) == first.baggage.length);
    headers_clear(&sent);
    MUST(nsp_inject(&first.context, &first.baggage, &to) == NSP_OK);
    MUST(nsp_extract(&again, &to) == (something ? NSP_OK : NSP_ERR_NOT_FOUND));
    MUST(memcmp(again.context.trace_id, first.context.trace_id, NSP_TRACE_ID_SIZE) == 0);
    MUST(memcmp(again.context.span_id, first.context.span_id, NSP_SPAN_ID_SIZE) == 0);
    MUST(strcmp(again.baggage.text, first.baggage.text) == 0);
    if (nsp_inject_field(0) != NULL && strcmp(nsp_inject_field(0), "b3") != 0 &&
        nsp_context_valid(&first.context) && choice % 6 != 3)
        MUST(same_context(&again.context, &first.context));
    split_list();
    MUST(nsp_extract(&again, &from) == status);
    MUST(same_context(&again.context, &first.context) && again.context.flags == first.context.flags);
    headers_clear(&request);
    headers_clear(&sent);
    return 0;
}
