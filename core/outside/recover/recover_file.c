// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/recover_file.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/call.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "outside/session/session_files.h"

static const char file_name[] = "written", new_name[] = "written.new";

// Changes with the form of the note; one of another form is not believed.
#define MAGIC UINT64_C(0x327475706e77736e)

typedef struct note {
    uint64_t magic;
    // Which file, and that nobody has written to it since. An inode's number may be used again.
    uint64_t device, inode, length, modified_ns;
    uint64_t left_foreign;  // all other spans of the session are in the file
    uint64_t speculative;   // 1: so are the traces that were not decided
    nsp__counters counters; // of the session, when they are settled
    char path[PATH_MAX];    // absolute; only so long as it is
} note;

static note describe(const struct stat *status)
{
    return (note){
        .magic = MAGIC,
        .device = status->st_dev,
        .inode = status->st_ino,
        .length = (uint64_t)status->st_size,
        .modified_ns = (uint64_t)status->st_mtim.tv_sec * NSP__SECOND + (uint64_t)status->st_mtim.tv_nsec,
    };
}

// ---- noting ----

nsp_status nsp_recovery_note_file(nsp_recovery *recovery, const char *path, int file)
{
    NSP__NO_CANCEL;
    struct stat status;
    size_t length = path != NULL ? strlen(path) : 0;
    if (length == 0 || path[0] != '/' || length >= PATH_MAX || fstat(file, &status) != 0)
        return nsp__fail(NSP_ERR_INVALID, "nsp_recovery_note_file: no absolute path, or no open file");
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    nsp_recovery_account_get(recovery, &account);
    if (account.left != account.left_foreign)
        return nsp__fail(NSP_ERR_INVALID, "nsp_recovery_note_file: not everything was exported");
    if (recovery->later.count == 0 || recovery->damaged)
        return NSP_OK;
    note it = describe(&status);
    it.left_foreign = account.left_foreign;
    it.speculative = recovery->buffers != NULL;
    it.counters = nsp__recovery_counters(recovery, &recovery->later);
    memcpy(it.path, path, length + 1);
    NSP__TESTPOINT("recover: file to be noted");
    if (!nsp__session_file_replace(recovery->copy.directory, file_name, new_name, &it,
                                   offsetof(note, path) + length + 1))
        return nsp__fail(NSP_ERR_SYSTEM, "the session %s cannot note that its spans are in %s: %s",
                         recovery->copy.name, path, strerror(errno));
    NSP__TESTPOINT("recover: file noted");
    return NSP_OK;
}

void nsp__recovery_forget_file(const nsp_recovery *recovery)
{
    unlinkat(recovery->copy.directory, file_name, 0);
}

// ---- what an earlier recovery has noted ----

// False: what lies there is no note.
static bool read_note(const nsp_recovery *recovery, note *out)
{
    uint64_t size;
    int fd = nsp__session_file_open(recovery->copy.directory, file_name, false, &size);
    if (fd < 0)
        return false;
    bool whole = size > offsetof(note, path) && size <= sizeof *out && nsp__read_at(fd, out, size, 0) &&
                 out->magic == MAGIC && out->path[0] == '/' && ((const char *)out)[size - 1] == 0;
    nsp__close(fd);
    return whole;
}

static bool is_true(const note *it)
{
    struct stat status;
    if (lstat(it->path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return false;
    const note found = describe(&status);
    return memcmp(&found, it, offsetof(note, left_foreign)) == 0;
}

// Everything that was found and can be exported.
static bool take_all(nsp_recovery *recovery, nsp__settlement *to)
{
    nsp__request all = {0};
    bool added = true;
    for (uint32_t i = 0; added && i < recovery->copy.slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        const nsp__found_ring *found = &recovery->rings[i];
        nsp__piece piece = {.kind = NSP__PIECE_RING, .index = i, .spans = found->count};
        if (slot == NULL || found->from == slot->published)
            continue;
        piece.position = slot->published;
        added = nsp__request_add(&all, &piece);
    }
    for (uint32_t i = 0; added && i < recovery->copy.slot_count && recovery->buffers != NULL; i++) {
        const nsp__found_buffer *found = &recovery->buffers[i];
        nsp__piece piece = {.kind = NSP__PIECE_HISTORY,
                            .index = i,
                            .position = found->copy.history_end,
                            .spans = found->history};
        added = found->history == 0 || nsp__request_add(&all, &piece);
        piece = (nsp__piece){
            .kind = NSP__PIECE_OPEN, .index = i, .position = found->copy.to, .spans = found->open};
        added = added && (found->open == 0 || nsp__request_add(&all, &piece));
    }
    for (uint32_t i = 0; added && i < recovery->frame_count; i++)
        added = nsp__request_add(&all, &(nsp__piece){.kind = NSP__PIECE_FRAME,
                                                     .index = i,
                                                     .spans = nsp__found_frame_spans(&recovery->frames[i])});
    for (uint32_t i = 0; added && i < recovery->batch_count; i++) {
        const nsp__batch_header *header = &recovery->batches[i].header;
        nsp__piece piece = {.kind = NSP__PIECE_BATCH, .index = i, .spans = header->spans - header->settled};
        added = recovery->batches[i].foreign || nsp__request_add(&all, &piece);
    }
    added = added && nsp__settlement_take(to, &all, &(nsp__outcome){.exported = UINT64_MAX});
    to->exported = 0; // the note says what the counters become
    nsp__request_free(&all);
    return added;
}

// A recovery that was killed in the middle of it has settled a part; the counters come last, and say it of all.
static bool settle(nsp_recovery *recovery, const note *it)
{
    nsp__settlement all = {0};
    bool settled =
        (it->speculative == 0 || nsp__recovery_find_speculative(recovery)) && take_all(recovery, &all);
    if (settled) {
        recovery->copy.control->counters = it->counters;
        settled = nsp__recovery_write(recovery, &all);
    } else {
        errno = ENOMEM;
    }
    nsp__settlement_free(&all);
    return settled;
}

bool nsp__recovery_settle_file(nsp_recovery *recovery, int *error)
{
    note it;
    *error = 0;
    bool believed =
        read_note(recovery, &it) && is_true(&it) && it.left_foreign == recovery->account.left_foreign;
    if (believed && !settle(recovery, &it)) {
        *error = errno;
        return false;
    }
    if (believed)
        nsp__log(
            NSP_LOG_WARN, "",
            "%s: its spans are in %s, written by a recovery that was killed before it settled them; they "
            "are settled now, and not exported again",
            recovery->copy.name, it.path);
    nsp__recovery_forget_file(recovery);
    return believed;
}
