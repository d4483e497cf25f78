// SPDX-License-Identifier: Apache-2.0
//
// What do outlier rules do in an engine: how much is decided at its end, what is kept of it, and which rule cannot keep
// what it is meant to?
#include "doctor.h"

#include "support/sampling.h"
#include "support/units.h"
#include <fnmatch.h>
#include <inttypes.h>

enum { MANY_ROOTS = 10000 }; // so many of which none was slow say that the bound is high

static void tell_account(doctor *d, const nsp_session *session, const char *service)
{
    const nsp_stats *s = &session->stats;
    char begun[UNITS_SIZE], kept[UNITS_SIZE], undecided[UNITS_SIZE];
    units_count(begun, s->speculated);
    units_count(kept, s->kept);
    units_count(undecided, s->speculating);
    doctor_say(d, DOCTOR_OK, "engine.outliers",
               "%s (pid %u): the head left out traces of %s spans about which an outlier rule decides at "
               "their end; %s "
               "of these spans were kept, and %s are not decided yet",
               service, session->pid, begun, kept, undecided);
}

static void tell_losses(doctor *d, const nsp_session *session, const char *service)
{
    const nsp_stats *s = &session->stats;
    char count[UNITS_SIZE];
    if (s->kept_incomplete != 0) {
        units_count(count, s->kept_incomplete);
        doctor_say(d, DOCTOR_WARN, "engine.kept_incomplete",
                   "%s (pid %u): %s trace%s kept without some of %s spans: %s outgrew the buffer, or found "
                   "no room in "
                   "the ring, or had detached spans",
                   service, session->pid, count, s->kept_incomplete == 1 ? " was" : "s were",
                   s->kept_incomplete == 1 ? "its" : "their", s->kept_incomplete == 1 ? "it" : "they");
        doctor_advise(
            d,
            "increase NSP_OUTLIER_BYTES if these traces have many spans or attributes, and NSP_RING_BYTES "
            "if the rings are full; their local roots say in nanospan.left_out how many spans are missing");
    }
    if (s->kept_limited != 0) {
        units_count(count, s->kept_limited);
        doctor_say(d, DOCTOR_NOTE, "engine.kept_limited",
                   "%s (pid %u): %s more trace%s an outlier rule, but came beyond its limit", service,
                   session->pid, count, s->kept_limited == 1 ? " met" : "s met");
        doctor_advise(
            d,
            "if they are more than you can look at, raise the bound; if you want them, the limit: `nanospan "
            "tune %u --outlier 'PATTERN: CONDITIONS, limit=N/s'`",
            session->pid);
    }
}

// The roots that a rule has measured: those of which it is the first one that matches.
typedef struct roots {
    uint64_t count, longest_ns;
} roots;

static size_t rule_of(const nsp_session *session, const char *name)
{
    size_t i = 0;
    while (i < session->outlier_count && fnmatch(session->outliers[i].pattern, name, FNM_NOESCAPE) != 0)
        i++;
    return i;
}

static roots roots_of(const nsp_session *session, size_t rule)
{
    roots found = {0};
    for (size_t i = 0; i < session->latency_count; i++) {
        const nsp_session_latency *latency = &session->latencies[i];
        if (rule_of(session, latency->name) != rule)
            continue;
        found.count += latency->latency.count;
        if (latency->latency.max_ns > found.longest_ns)
            found.longest_ns = latency->latency.max_ns;
    }
    return found;
}

static void tell_rule(doctor *d, const nsp_session *session, const char *service, size_t at)
{
    const nsp_session_outlier *outlier = &session->outliers[at];
    const nsp_outlier_rule *rule = &outlier->rule;
    const roots found = roots_of(session, at);
    text written = {0};
    char count[UNITS_SIZE], longest[UNITS_SIZE];
    sampling_outlier(&written, outlier);
    if (rule->slowest != 0 && session->external && !session->drained) {
        doctor_say(d, DOCTOR_WARN, "engine.slowest_undrained",
                   "%s (pid %u): the outlier rule %.*s has no new bound for its slowest share, because "
                   "nobody drains "
                   "the engine",
                   service, session->pid, (int)written.length, written.data);
        doctor_advise(
            d,
            "whoever drains finds that bound: start `nanospan agent` as the engine's user; the rule's other "
            "conditions hold without it");
    }
    if (found.count == 0 && session->latency_unmeasured == 0) {
        doctor_say(d, DOCTOR_NOTE, "engine.outlier_unmatched",
                   "%s (pid %u): no local root has ended yet of which the outlier rule %.*s decides", service,
                   session->pid, (int)written.length, written.data);
        doctor_advise(
            d, "if there should be some, its pattern is mistyped, a rule before it matches them too, or they "
               "are names of spans that are no local roots");
    } else if (rule->slower_ns != 0 && rule->slowest == 0 && !rule->errors && !rule->asked &&
               found.count >= MANY_ROOTS && found.longest_ns < rule->slower_ns) {
        units_count(count, found.count);
        units_duration(longest, found.longest_ns);
        doctor_say(
            d, DOCTOR_NOTE, "engine.outlier_keeps_nothing",
            "%s (pid %u): the outlier rule %.*s has kept nothing: of %s local roots, the slowest took %s",
            service, session->pid, (int)written.length, written.data, count, longest);
        doctor_advise(
            d, "if that is not just a good day, lower its bound; `nanospan top` shows percentiles of these "
               "roots below its table");
    }
    text_free(&written);
}

void doctor_outliers(doctor *d, const nsp_session *session, const char *service)
{
    if (session->outlier_count == 0 && session->stats.speculated == 0)
        return;
    tell_account(d, session, service);
    tell_losses(d, session, service);
    for (size_t i = 0; i < session->outlier_count; i++)
        tell_rule(d, session, service, i);
}
