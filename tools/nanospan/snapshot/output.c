// SPDX-License-Identifier: Apache-2.0
//
// What was exported and what was not, for people and as JSON.
#include "snapshot.h"

#include "support/complain.h"
#include "support/json_text.h"
#include "support/shell_word.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// Adds "1 trace", "1,234 traces".
static void add_count(text *out, uint64_t count, const char *what)
{
    char number[UNITS_SIZE];
    units_count(number, count);
    text_format(out, "%s %s%s", number, what, count == 1 ? "" : "s");
}

void snapshot_add_thread(void *argument, const nsp_history_thread *thread)
{
    snapshot_result *me = argument;
    me->reach_ns = thread->reach_ns > me->reach_ns ? thread->reach_ns : me->reach_ns;
    char reach[UNITS_SIZE];
    if (me->json) {
        text_format(&me->threads, "%s{\"name\":", me->threads.length != 0 ? "," : "");
        json_string(&me->threads, nsp__slice_of(thread->name));
        text_format(&me->threads,
                    ",\"tid\":%" PRIu32 ",\"traces\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"overtaken\":%" PRIu64
                    ",\"reach_ns\":%" PRIu64 ",\"buffer_bytes\":%" PRIu64 "}",
                    thread->tid, thread->traces, thread->spans, thread->overtaken, thread->reach_ns,
                    thread->buffer_bytes);
        return;
    }
    units_duration(reach, thread->reach_ns);
    text_format(&me->threads, "  thread %" PRIu32 " ", thread->tid);
    trace_notes_plain(&me->threads, nsp__slice_of(thread->name));
    text_put(&me->threads, ": ");
    add_count(&me->threads, thread->traces, "trace");
    text_put(&me->threads, ", ");
    add_count(&me->threads, thread->spans, "span");
    if (thread->reach_ns != 0)
        text_format(&me->threads, "; its buffer reaches back %s", reach);
    else
        text_put(&me->threads, "; its buffer holds no history");
    if (thread->overtaken != 0) {
        text_put(&me->threads, "; ");
        add_count(&me->threads, thread->overtaken, "record");
        text_put(&me->threads, thread->overtaken == 1 ? " was overtaken" : " were overtaken");
    }
    text_char(&me->threads, '\n');
}

bool snapshot_print(const snapshot_result *me, const char *target)
{
    const nsp_history_account *a = &me->account;
    text out = {0};
    if (me->json) {
        text_put(&out, "{\"service\":");
        json_string(&out, nsp__slice_of(me->engine->service));
        text_format(&out,
                    ",\"pid\":%" PRIu32 ",\"rules\":%" PRIu64 ",\"traces\":%" PRIu64 ",\"spans\":%" PRIu64
                    ",\"exported\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"unconfirmed\":%" PRIu64
                    ",\"invalid\":%" PRIu64 ",\"overtaken\":%" PRIu64 ",\"threads\":[%.*s]}\n",
                    me->engine->seen.pid, a->rules, a->traces, a->spans, a->exported, a->rejected,
                    a->unconfirmed, a->invalid, a->overtaken, (int)me->threads.length,
                    me->threads.data != NULL ? me->threads.data : "");
    } else {
        trace_notes_plain(&out, nsp__slice_of(me->engine->service));
        text_format(&out, " (pid %" PRIu32 "): ", me->engine->seen.pid);
        add_count(&out, a->traces, "trace");
        text_put(&out, ", ");
        add_count(&out, a->spans, "span");
        text_put(&out, "; ");
        add_count(&out, a->exported, "span");
        text_format(&out, " exported to %s\n", target);
        text_format(&out, "%.*s", (int)me->threads.length, me->threads.data != NULL ? me->threads.data : "");
    }
    const bool sound = text_print(&out);
    if (!sound)
        complain("what it did cannot be written to standard output: %s", strerror(errno));
    text_free(&out);
    return sound;
}

// A new rule comes last, so where there is one that keeps anything it is that one which is to have history.
static void say_no_rule(const figures_engine *engine)
{
    char conditions[NSP_OUTLIER_RULE_TEXT_MAX] = "slower=1ms";
    const char *pattern = "*";
    for (size_t i = engine->seen.outlier_count; i-- > 0;) {
        const nsp_outlier_rule *rule = &engine->outliers[i].rule;
        if (rule->slower_ns == 0 && rule->slowest == 0 && !rule->errors && !rule->asked)
            continue;
        pattern = engine->outliers[i].pattern;
        nsp_outlier_rule_text(rule, conditions, sizeof conditions);
    }
    text with = {0}, word = {0};
    text_format(&with, "%s: %s, history=10ms", pattern, conditions);
    text_char(&with, 0);
    shell_word(&word, with.data);
    complain("%s (pid %u): no outlier rule keeps history, so there is nothing to export; this sets one: "
             "nanospan tune %u --outlier %.*s",
             engine->service, engine->seen.pid, engine->seen.pid, (int)word.length, word.data);
    text_free(&word);
    text_free(&with);
}

bool snapshot_say_problems(const snapshot_result *me, nsp_status status, const char *problem)
{
    const nsp_history_account *a = &me->account;
    const char *service = me->engine->service;
    const unsigned pid = me->engine->seen.pid;
    if (status != NSP_OK) {
        const char *detail = *problem ? problem : nsp_error_detail();
        complain("%s (pid %u): %s", service, pid, *detail ? detail : nsp_status_str(status));
        return false;
    }
    if (a->rules == 0 && me->reach_ns == 0) {
        say_no_rule(me->engine);
        return false;
    }
    if (a->spans == 0 && me->reach_ns != 0)
        complain("%s (pid %u): no trace in history ended in the time of --before", service, pid);
    else if (a->spans == 0)
        complain("%s (pid %u): no trace lies in history", service, pid);
    if (a->rejected + a->unconfirmed + a->invalid != 0)
        complain("%s (pid %u): not all spans were accepted; they still lie there, until they are overwritten",
                 service, pid);
    return a->rejected + a->unconfirmed + a->invalid == 0;
}
