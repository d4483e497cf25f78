// SPDX-License-Identifier: Apache-2.0
//
// What the sender writes to the log: changes between success and failure, and what was refused. It says of whom,
// if the sender serves several sessions.
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "drain/outcome.h"
#include "drain/sender_state.h"

nsp__attempt nsp__sender_look(nsp__sender *sender, const nsp__batch_pool *pool)
{
    snprintf(sender->label, sizeof sender->label, "%s", pool->label != NULL ? pool->label : "");
    return (nsp__attempt){.was_blamed = pool->line.blamed, .was_unconfirmed = pool->unconfirmed};
}

static const char *whose_batches(const nsp__sender *sender)
{
    return sender->label[0] != 0 ? sender->label : "an engine";
}

// Writes a line about an attempt. The text is made before the thread counts as blocking; the callback may block.
// False: left behind.
__attribute__((format(printf, 4, 5))) static bool say(nsp__sender *sender, nsp_log_level level,
                                                      const char *subject, const char *format, ...)
{
    char text[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sender->logging = true;
    nsp__sender_begin_blocking(sender);
    nsp__log(level, subject, "%s", text);
    if (!nsp__sender_end_blocking(sender))
        return false;
    sender->logging = false;
    return true;
}

// whose: says of whom, and each of them has a share of the log of its own.
static bool say_result(nsp__sender *sender, nsp_log_level level, const char *subject, bool whose,
                       const char *what, const nsp_send_report *report, uint64_t spans, const char *spans_are)
{
    whose = whose && sender->label[0] != 0;
    return say(sender, level, whose ? sender->label : subject, "%s%s%s%s%s%llu span%s %s",
               whose ? sender->label : "", whose ? ": " : "", what, report->detail,
               report->detail[0] ? "; " : "", (unsigned long long)spans, spans == 1 ? "" : "s", spans_are);
}

static bool report_failure(nsp__sender *sender, const nsp_send_report *report, const nsp__attempt *seen)
{
    const bool was_failing = sender->failing;
    const uint64_t waiting = __atomic_load_n(&sender->waiting_spans, __ATOMIC_RELAXED);
    if (seen->blamed && !seen->was_blamed)
        return say(sender, NSP_LOG_WARN, sender->label,
                   "the batches of %s cannot be delivered: %s; those of other engines go on",
                   whose_batches(sender),
                   report->detail[0] ? report->detail : "the receiver does not answer");
    if (seen->blamed) // nothing is wrong with the receiver
        return true;
    sender->failing = true;
    return was_failing ||
           say_result(sender, NSP_LOG_WARN, "sending", false, "", report, waiting, "waiting; retrying");
}

bool nsp__sender_report(nsp__sender *sender, nsp_send_result result, const nsp_send_report *report,
                        uint64_t spans, const nsp__attempt *seen)
{
    if (!nsp__outcome_final(result))
        return report_failure(sender, report, seen);
    const bool was_failing = sender->failing;
    const uint64_t waiting = __atomic_load_n(&sender->waiting_spans, __ATOMIC_RELAXED);
    sender->failing = false;
    if (seen->was_blamed && result == NSP_SEND_EXPORTED &&
        !say(sender, NSP_LOG_INFO, sender->label, "the batches of %s are delivered again",
             whose_batches(sender)))
        return false;
    switch (result) {
    case NSP_SEND_REJECTED:
        return say_result(sender, NSP_LOG_WARN, "rejected", true, "", report, spans, "rejected for good");
    case NSP_SEND_UNCONFIRMED:
        return seen->was_unconfirmed ||
               say_result(sender, NSP_LOG_WARN, "unconfirmed", true, "", report, spans,
                          "unconfirmed and not sent again; later ones are counted but not logged");
    default:
        if (report->rejected)
            return say_result(sender, NSP_LOG_WARN, "rejected", true, "", report,
                              nsp__earlier(report->rejected, spans), "rejected by the receiver");
        if (report->detail[0])
            return say_result(sender, NSP_LOG_WARN, "receiver", true, "", report, spans,
                              "accepted nevertheless");
        return !was_failing || say_result(sender, NSP_LOG_INFO, "sending again", false,
                                          "sending works again; ", report, waiting, "still waiting");
    }
}
