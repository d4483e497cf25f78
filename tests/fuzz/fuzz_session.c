// SPDX-License-Identifier: Apache-2.0
// ctest: COST 150 TIMEOUT 300
//
// Input: changes to a small session, whose engine was killed: `number, offset, offset, length, bytes`. The
// number is that of a structure, whose bytes are replaced from the offset on, or of another change
// (killed_session.c): a file is cut short or put away, the engine seems to run, and the like. What comes after
// the number LATER changes while the session is being read. Whatever is in the files, reading them ends, what is
// handed out is sound, and what is refused has a reason. Some of those that can be opened are recovered: all
// that is found is sent, and what was settled is not found again.
//
// Parsers: core/outside/session/session_copy.c core/outside/session/session_sections.c core/outside/session/session_slots.c
// Parsers: core/outside/session/session_texts.c core/outside/session/session_copy_frames.c core/outside/session/session_copy_ring.c
// Parsers: core/outside/session/session_copy_batches.c core/outside/session/session_stats.c
// Parsers: core/outside/session/session_copy_buffer.c core/drain/history_copy.c core/outside/recover/recover_speculative.c
#include "fuzz.h"

#include <nanospan/inspect.h>
#include <nanospan/recover.h>

#include "killed_session.h"
#include "outside/session/session_stats.h"

static const killed_session *killed;

// ---- reading ----

static void check_items(const nsp__record *record)
{
    const uint8_t *end = (const uint8_t *)record + record->bytes;
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1), end};
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        MUST(item.payload + item.length <= end);
}

static void check_frames(nsp__session_copy *copy)
{
    static nsp__frame *frame;
    if (frame == NULL)
        frame = malloc(NSP__FRAME_COPY_MAX);
    for (uint32_t i = 0; i <= copy->slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(copy, i);
        if (slot == NULL) {
            MUST(!nsp__session_copy_frame(copy, i, 0, frame, NSP__FRAME_COPY_MAX));
            continue;
        }
        MUST(!nsp__session_copy_frame(copy, i, 0, frame, sizeof *frame - 1));
        for (uint32_t depth = 0; depth <= slot->frame_count; depth++)
            if (nsp__session_copy_frame(copy, i, depth, frame, NSP__FRAME_COPY_MAX) &&
                (frame->tag & NSP__RECORDING) != 0)
                check_items(&frame->record);
    }
    uint32_t count = nsp__session_copy_detached_count(copy);
    for (uint32_t i = 0; i <= count; i++)
        if (nsp__session_copy_detached(copy, i, frame, NSP__FRAME_COPY_MAX) &&
            (frame->tag & NSP__RECORDING) != 0)
            check_items(&frame->record);
}

static void must_not_begin(const nsp__session_copy *copy, uint32_t index, uint64_t from, uint64_t to)
{
    nsp__ring_copy ring;
    MUST(!nsp__ring_copy_begin(&ring, copy, index, from, to));
    nsp__ring_copy_end(&ring);
}

static void check_ring(const nsp__session_copy *copy, uint32_t index, const nsp__slot *slot)
{
    nsp__ring_copy ring;
    uint64_t bytes = 0;
    MUST(slot->consumed <= slot->published && slot->published - slot->consumed <= slot->ring_bytes);
    MUST(nsp__ring_copy_begin(&ring, copy, index, slot->consumed, slot->published));
    for (const nsp__record *one; (one = nsp__ring_copy_next(&ring)) != NULL; bytes += one->bytes) {
        MUST(one->bytes >= sizeof *one && one->bytes <= slot->record_bytes);
        check_items(one);
    }
    MUST(ring.at == slot->consumed + bytes && ring.damaged == (ring.at != slot->published));
    MUST(nsp__ring_copy_next(&ring) == NULL);
    nsp__ring_copy_end(&ring);
    must_not_begin(copy, index, 0, slot->ring_bytes + 1);
    must_not_begin(copy, index, 1, 0);
}

static void check_rings(nsp__session_copy *copy)
{
    for (uint32_t i = 0; i <= copy->slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(copy, i);
        if (slot != NULL)
            check_ring(copy, i, slot);
        else
            must_not_begin(copy, i, 0, 0);
    }
}

static void check_batches(const nsp__session_copy *copy)
{
    const bool cut = killed->shrunk || copy->damage[0] != 0;
    uint64_t *coverage = malloc((copy->control->threads_max + 1) * sizeof *coverage);
    MUST(coverage != NULL);
    for (uint32_t i = 0; i <= copy->control->batch_count; i++) {
        nsp__batch_header header;
        if (!nsp__session_copy_batch(copy, i, &header))
            continue;
        MUST(header.state <= NSP__BATCH_SETTLING && header.head <= header.length);
        MUST(nsp__session_copy_batch_unsettled(&header) <= header.spans);
        uint8_t *bytes = malloc(header.length + 1);
        MUST(bytes != NULL);
        MUST(nsp__session_copy_batch_there(copy, &header) <= header.length);
        MUST(nsp__session_copy_batch_bytes(copy, &header, bytes) || header.length == 0 || cut);
        free(bytes);
        MUST(nsp__session_copy_coverage(copy, i, coverage) || cut);
    }
    MUST(!nsp__session_copy_coverage(copy, copy->control->batch_count, coverage));
    free(coverage);
}

static void check_texts(const nsp__session_copy *copy)
{
    size_t length, at = 0;
    for (nsp_name name = 0; name <= NSP_NAME_MAX; name++) {
        const char *text = nsp__session_copy_name(copy, name, &length);
        MUST(text == NULL || (length <= NSP_NAME_LENGTH_MAX && text[length] == 0));
    }
    nsp__resource_entry entry;
    while (nsp__session_copy_resource(copy, &at, &entry))
        MUST(strlen(entry.key) + strlen(entry.value) < NSP__RESOURCE_TEXT_MAX);
}

// Of what is damaged, the rest can be read; of a whole one, everything.
static bool open_copy(nsp__session_copy *copy)
{
    if (nsp__session_copy_open(copy, killed->folder_fd, killed->name, false)) {
        MUST(copy->damage[0] == 0);
        return true;
    }
    MUST(copy->state != NSP__SESSION_READABLE && copy->state != NSP__SESSION_GONE);
    MUST(copy->problem[0] != 0 && fuzz_is_line(copy->problem, strlen(copy->problem)));
    const nsp__session_state state = copy->state;
    nsp__session_copy_close(copy);
    if (!nsp__session_copy_open_damaged(copy, killed->folder_fd, killed->name)) {
        MUST(copy->state == state);
        return false;
    }
    MUST(state == NSP__SESSION_DAMAGED && fuzz_is_line(copy->damage, strlen(copy->damage)));
    return true;
}

// The bytes are changes that are made once it is open.
static void check_copy(const uint8_t *bytes, size_t size)
{
    nsp__session_copy copy;
    nsp_stats stats;
    const killed_session was = *killed;
    bool readable = open_copy(&copy);
    killed_session_change(bytes, size);
    if (readable) {
        MUST(copy.state == NSP__SESSION_READABLE && copy.problem[0] == 0);
        MUST(copy.alive == was.alive && !was.accessible && was.name[0] != '.');
        check_rings(&copy);
        check_frames(&copy);
        check_batches(&copy);
        check_texts(&copy);
        const nsp__tuning *tuning;
        const nsp__outliers *outliers;
        const nsp__policy *policy = nsp__session_copy_policy(&copy, &tuning, &outliers);
        if (policy != NULL && tuning != NULL)
            MUST(memchr(tuning->name, 0, sizeof tuning->name) != NULL);
        for (uint32_t i = 1; policy != NULL && outliers != NULL && i <= outliers->rules; i++)
            MUST(i < NSP__CLASSES &&
                 memchr(outliers->rule[i].pattern, 0, sizeof outliers->rule[i].pattern) != NULL);
        if (!nsp__session_stats(&copy, &stats, NULL))
            MUST(copy.problem[0] != 0);
    }
    nsp__session_copy_close(&copy);
}

// ---- recovery ----

static uint64_t sent;

static nsp_send_result count_spans(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                   nsp_send_report *report)
{
    (void)state;
    (void)deadline_ns;
    report->answered = true;
    sent += (batch->length - batch->head) / NSP_SPAN_ID_SIZE;
    return NSP_SEND_EXPORTED;
}

static void quiet(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

// False if the session cannot be opened.
static bool recover(nsp_recovery_account *account, bool speculative)
{
    char path[sizeof killed->user + sizeof killed->name], problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    nsp_recovery *recovery;
    nsp_config config;
    snprintf(path, sizeof path, "%s/%s", killed->user, killed->name);
    if (nsp_recovery_open(&recovery, path, problem, sizeof problem) != NSP_OK) {
        MUST(recovery == NULL && problem[0] != 0 && fuzz_is_line(problem, strlen(problem)));
        return false;
    }
    killed_session_written();
    nsp_config_init(&config);
    config.log = quiet;
    config.batch_bytes = 64 * 1024;
    config.batches = 2;
    nsp_exporter counting = killed_session_exporter;
    counting.name = "counting";
    counting.send = count_spans;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &counting;
    options.config = &config;
    options.speculative = speculative;
    sent = 0;
    MUST(nsp_recovery_export(recovery, &options) == NSP_OK && nsp_recovery_settle(recovery) == NSP_OK);
    *account = (nsp_recovery_account)NSP_RECOVERY_ACCOUNT_INIT;
    nsp_recovery_account_get(recovery, account);
    MUST(account->exported == sent && account->left == account->left_foreign);
    MUST(account->exported + account->invalid + account->left ==
         account->finished + account->unfinished + account->from_batches);
    nsp_recovery_close(recovery);
    return true;
}

// A recovery takes far longer than reading does, so the last byte selects one of this many inputs for it.
enum { RECOVERED = 8 };

static void check_recovery(bool speculative)
{
    nsp_recovery_account account;
    if (recover(&account, speculative) &&
        recover(&account, speculative)) // what is damaged stays, and is found again
        MUST(account.exported == 0);
}

// ---- history ----

static void see_thread(void *argument, const nsp_history_thread *thread)
{
    uint64_t *spans = argument;
    MUST(thread->traces <= thread->spans && strlen(thread->name) < 32);
    *spans += thread->spans;
}

// Returns how many traces were found.
static uint64_t check_history(void)
{
    char path[sizeof killed->user + sizeof killed->name], problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    nsp_config config;
    snprintf(path, sizeof path, "%s/%s", killed->user, killed->name);
    nsp_config_init(&config);
    config.log = quiet;
    config.batch_bytes = 64 * 1024;
    config.batches = 2;
    nsp_exporter counting = killed_session_exporter;
    counting.name = "counting";
    counting.send = count_spans;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &counting;
    options.config = &config;
    nsp_history_account account = NSP_HISTORY_ACCOUNT_INIT;
    uint64_t spans = 0;
    sent = 0;
    if (nsp_history_export(path, 0, &options, &account, see_thread, &spans, problem, sizeof problem) !=
        NSP_OK) {
        MUST(problem[0] != 0 && fuzz_is_line(problem, strlen(problem)) && account.spans == 0);
        return 0;
    }
    MUST(account.exported == sent && account.spans == spans && account.traces <= spans);
    MUST(account.exported + account.invalid == spans);
    return account.traces;
}

// ---- the property ----

static bool visit(void *argument, const nsp_session *seen)
{
    ++*(int *)argument;
    MUST(seen->alive == (killed->alive && !killed->accessible));
    MUST(strcmp(seen->name, "fuzz") == 0 && (seen->problem == NULL || *seen->problem != 0));
    return true;
}

static void check_other_names(void)
{
    static const char *const names[] = {"",         "fuzz",     ".fuzz", "fuzz.1", "../fuzz.1.1",
                                        "fuzz.1.1", ".fuzz.1.1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        nsp__session_copy copy;
        MUST(!nsp__session_copy_open(&copy, killed->folder_fd, names[i], false));
        MUST(copy.state == NSP__SESSION_GONE && copy.problem[0] == 0);
        nsp__session_copy_close(&copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int visits = 0;
    if (killed == NULL) {
        killed = killed_session_make(killed_engine);
        check_other_names();
        MUST(check_history() > 10); // there is some to damage
    }
    size_t first = killed_session_change(bytes, size);
    check_copy(bytes + first, size - first);
    MUST(nsp_sessions_each(killed->root, visit, &visits) == NSP_OK && visits == 1);
    if (size > 1 && bytes[size - 1] % RECOVERED == 0 && bytes[size - 2] % 4 == 3)
        check_history();
    else if (size != 0 && bytes[size - 1] % RECOVERED == 0)
        check_recovery(size > 1 && bytes[size - 2] % 2 != 0);
    killed_session_restore();
    return 0;
}
