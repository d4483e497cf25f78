// SPDX-License-Identifier: Apache-2.0
#include "shm/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mapping.h"
#include "base/paging.h"
#include "base/testpoint.h"
#include "common/seed.h"
#include "common/time.h"
#include "shm/batches.h"
#include "shm/session_lock.h"

// Space after the last frame, for nsp__frame_place.
enum { DETACHED_MARGIN = 64 * 1024 + 4096 };

static void fill_header(nsp__control *control, const nsp_config *config)
{
    control->version = NSP__SESSION_VERSION;
    control->pid = (uint32_t)getpid();
    control->start_unix_ns = nsp__clock_ns(CLOCK_REALTIME);
    control->control_bytes = sizeof(nsp__control);
    control->threads_max = config->threads;
    control->record_bytes = config->record_bytes;
    control->detached_count = config->detached_spans;
    control->detached_stride = NSP__DETACHED_STRIDE;
    control->batch_count = config->batches;
    control->batch_bytes = nsp__batches_layout_of(config).bytes;
    control->drainer.external = config->collector == NSP_COLLECTOR_EXTERNAL;
    for (size_t i = 0; i < NSP__CLASSES; i++)
        control->outlier_bounds.slowest_ticks[i] = NSP__SLOWEST_UNKNOWN;
    nsp__sections_write(control, config);
    __atomic_store_n(&control->magic, NSP__SESSION_MAGIC, __ATOMIC_RELEASE); // MG1: all else is written
}

// The service name as a file name: anything unusual becomes '_', and it never begins with a dot.
static void sanitise(char *out, size_t size, const char *name)
{
    size_t length = 0;
    for (; name[length] != 0 && length + 1 < size; length++) {
        char c = name[length];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_';
        out[length] = plain ? c : '_';
    }
    if (length == 0)
        out[length++] = '_';
    out[length] = 0;
}

// Repairs a folder of ours that its owner may not even enter, because of the umask in force when it was
// created.
static bool mend_mode(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & 0700) != 0700 && fchmodat(AT_FDCWD, path, 0700, AT_SYMLINK_NOFOLLOW) == 0;
}

// Creates a folder for this user alone, whatever the umask is.
static bool make_folder(const char *path)
{
    if (mkdir(path, 0700) != 0)
        return false;
    mend_mode(path);
    return true;
}

static int open_folder(const char *path)
{
    return nsp__open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

// A folder that others may access is refused: its owner could replace our files while we use them.
bool nsp__sessions_directory(const char *shm_dir, char *path, size_t size)
{
    errno = ENOENT;
    if (shm_dir == NULL || strcmp(shm_dir, "none") == 0)
        return false;
    int length = snprintf(path, size, "%s/nanospan-%u", shm_dir, (unsigned)geteuid());
    if (length < 0 || (size_t)length >= size) {
        errno = ENAMETOOLONG; // a truncated path would be another folder
        return false;
    }
    if (!make_folder(path) && errno != EEXIST)
        return false;
    mend_mode(path); // one that an earlier process left
    int fd = open_folder(path);
    struct stat status;
    bool ours = fd >= 0 && fstat(fd, &status) == 0;
    if (ours && (status.st_uid != geteuid() || (status.st_mode & 077) != 0)) {
        errno = EPERM;
        ours = false;
    }
    nsp__close(fd);
    return ours;
}

// As posix_fallocate. Older kernels give up when a signal arrives, and start again from the beginning. Beside
// a fast timer they would never end. A file system may also say EINTR by itself: it is not asked for ever.
static int allocate(int fd, uint64_t offset, uint64_t bytes)
{
    int error = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    if (error != EINTR)
        return error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int tries = 0; error == EINTR && tries < 100; tries++)
        error = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

// Reserves a part of the file. Returns an errno value.
static int reserve(int fd, uint64_t offset, uint64_t bytes)
{
    // Growing a file beyond this limit raises SIGXFSZ, which ends the process.
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        offset + bytes > limit.rlim_cur)
        return EFBIG;
    return allocate(fd, offset, bytes);
}

// Creates a file of this size, and maps it if address is not NULL. id: NULL if it is not needed.
static bool make_file(int directory, const char *name, uint64_t bytes, void **address, nsp__file_id *id)
{
    int fd = nsp__open(directory, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return false;
    bool made = id == NULL || nsp__file_identify(fd, id);
    // Reserved now, because a page that is missing later would raise SIGBUS in the trading thread.
    int error = made && bytes != 0 ? reserve(fd, 0, bytes) : 0;
    if (error != 0) {
        errno = error;
        made = false;
    }
    if (made && address != NULL)
        made = (*address = nsp__map_file(fd, 0, bytes)) != NULL;
    nsp__close(fd);
    return made;
}

// ---- the session's folder ----

static void path_of(const nsp__session *session, const char *file, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", session->directory, file);
}

enum { PATH_SIZE = sizeof((nsp__session *)0)->directory + 16 };

// Gives it the name back that it had while it was created, so that nobody takes what is left for a session if
// this process dies now.
static void drop_name(nsp__session *session)
{
    char nameless[sizeof session->directory];
    const char *name = strrchr(session->directory, '/') + 1;
    int length = snprintf(nameless, sizeof nameless, "%.*s.%s", (int)(name - session->directory),
                          session->directory, name);
    if (*name != '.' && (size_t)length < sizeof nameless && rename(session->directory, nameless) == 0)
        memcpy(session->directory, nameless, (size_t)length + 1);
    NSP__TESTPOINT("shutdown: without its name");
}

static void remove_files(nsp__session *session)
{
    static const char *const files[] = {"control", "threads", "detached", "batches", "alive", "consumer"};
    if (!nsp__session_shared(session))
        return;
    int directory = nsp__open_again(session->directory, O_RDONLY | O_DIRECTORY, &session->directory_id);
    if (directory >= 0)
        drop_name(session);
    for (size_t i = 0; i < sizeof files / sizeof files[0] && directory >= 0; i++) {
        unlinkat(directory, files[i], 0);
        NSP__TESTPOINT("shutdown: a file is gone");
    }
    nsp__close(directory);
    rmdir(session->directory);
    session->directory[0] = 0;
}

static void drop_partial(nsp__session *session)
{
    nsp__mapping_retire(session->control);
    nsp__mapping_retire(session->detached);
    nsp__mapping_retire(session->batches);
    remove_files(session);
    nsp__session_lock_release(session->alive);
    nsp__session_lock_release(session->consumer);
    memset(session, 0, sizeof *session);
}

typedef struct sizes {
    uint64_t control, detached, batches;
} sizes;

// Whoever drains holds `consumer`.
static bool make_consumer(nsp__session *session, int directory)
{
    if (session->external)
        return nsp__session_lock_offer(directory, "consumer");
    session->consumer = nsp__session_lock_make(directory, "consumer");
    return session->consumer != NULL;
}

// Creates the locks first.
static bool make_files(nsp__session *session, const sizes *bytes)
{
    void *control = NULL, *batches = NULL, *detached = NULL;
    int directory = open_folder(session->directory);
    bool made = directory >= 0 && nsp__paging_fits(directory) &&
                nsp__file_identify(directory, &session->directory_id) &&
                (session->alive = nsp__session_lock_make(directory, "alive")) != NULL &&
                make_consumer(session, directory) &&
                make_file(directory, "control", bytes->control, &control, &session->control_id) &&
                make_file(directory, "threads", 0, NULL, &session->threads_id) &&
                make_file(directory, "batches", bytes->batches, &batches, NULL) &&
                (bytes->detached == 0 || make_file(directory, "detached", bytes->detached, &detached, NULL));
    nsp__close(directory);
    session->control = control;
    session->batches = batches;
    session->detached = detached;
    return made;
}

// False with errno set if shared memory cannot be used; what was created until then stays. The session is
// created under a name that begins with a dot, which nobody takes for a session, and gets its final name when it is
// complete and locked. So no other engine that is just starting can take it for a dead one. From before there is a
// folder until it has its own locks, the lock of all sessions' folder is shared, so that an engine which removes
// half-made sessions (outside/prune.c) can tell this one from those of engines that are dead.
static bool create_shared(nsp__session *session, const nsp_config *config, const sizes *bytes)
{
    char user_directory[400], name[64], final[sizeof session->directory];
    if (!nsp__sessions_directory(config->shm_dir, user_directory, sizeof user_directory))
        return false;
    uint32_t random = (uint32_t)nsp__random_seed();
    sanitise(name, sizeof name, config->service_name != NULL ? config->service_name : "");
    snprintf(final, sizeof final, "%s/%s.%u.%08x", user_directory, name, (unsigned)getpid(), random);
    snprintf(session->directory, sizeof session->directory, "%s/.%s.%u.%08x", user_directory, name,
             (unsigned)getpid(), random);
    int creating = nsp__sessions_creating_begin(user_directory);
    bool made = make_folder(session->directory);
    if (!made)
        session->directory[0] = 0;
    NSP__TESTPOINT("session: its folder is made");
    made = made && make_files(session, bytes);
    nsp__sessions_creating_end(creating);
    if (!made)
        return false;
    fill_header(session->control, config);
    NSP__TESTPOINT("session: before it has its name");
    if (rename(session->directory, final) != 0)
        return false;
    memcpy(session->directory, final, sizeof final);
    return true;
}

static bool create_private(nsp__session *session, const nsp_config *config, const sizes *bytes)
{
    session->control = nsp__map_private(bytes->control);
    session->batches = nsp__map_private(bytes->batches);
    if (bytes->detached != 0)
        session->detached = nsp__map_private(bytes->detached);
    if (session->control == NULL || session->batches == NULL ||
        (bytes->detached != 0 && session->detached == NULL))
        return false;
    fill_header(session->control, config);
    return true;
}

// What has to be done about shared memory that cannot be used.
static const char *reason_of(int error)
{
    return error == EFBIG         ? "the process's file size limit (ulimit -f) is too low"
           : error == EMEDIUMTYPE ? "a hugetlbfs needs NSP_HUGE_PAGES=yes, and pages of 2 MiB"
                                  : strerror(error);
}

// error: 0 if there is to be none. An engine may not look at what nsp_init returns, so its log says it too.
static nsp_status refuse_private(const nsp_config *config, int error)
{
    char why[600];
    if (error == 0)
        snprintf(
            why, sizeof why,
            "NSP_SHM_DIR is \"none\", and an engine that is drained from outside (NSP_COLLECTOR=external) "
            "needs shared memory: name a folder for it, such as /dev/shm, or choose the collector "
            "\"thread\"");
    else
        snprintf(
            why, sizeof why,
            "cannot create a session in shared memory under %s: %s; an engine that is drained from outside "
            "(NSP_COLLECTOR=external) needs one: make room there, name another folder (NSP_SHM_DIR), or "
            "choose the collector \"thread\"",
            config->shm_dir, reason_of(error));
    nsp__log(NSP_LOG_ERROR, "", "tracing is off: %s", why);
    return nsp__fail(NSP_ERR_UNSUPPORTED, "%s", why);
}

nsp_status nsp__session_create(nsp__session *session, const nsp_config *config)
{
    nsp__paging_choose(config->huge_pages, config->lock_memory);
    sizes bytes = {nsp__paging_up(sizeof(nsp__control)), 0,
                   nsp__paging_up(nsp__batches_layout_of(config).bytes)};
    if (config->detached_spans != 0)
        bytes.detached =
            nsp__paging_up((uint64_t)config->detached_spans * NSP__DETACHED_STRIDE + DETACHED_MARGIN);
    memset(session, 0, sizeof *session);
    session->external = config->collector == NSP_COLLECTOR_EXTERNAL;

    bool made = false;
    const bool wanted = config->shm_dir != NULL && strcmp(config->shm_dir, "none") != 0;
    if (!wanted && session->external)
        return refuse_private(config, 0);
    if (wanted) {
        made = create_shared(session, config, &bytes);
        if (!made) {
            int error = errno;
            bool external = session->external;
            drop_partial(session);
            nsp__paging_choose(config->huge_pages, config->lock_memory); // those mappings do not count
            if (external)
                return refuse_private(config, error);
            nsp__log(NSP_LOG_WARN, "",
                     "cannot create a session in shared memory under %s: %s; using private memory, so spans "
                     "are lost in a crash and other tools cannot see this process",
                     config->shm_dir, reason_of(error));
        }
    }
    made = made || create_private(session, config, &bytes);
    if (!made) {
        drop_partial(session);
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the session (%zu bytes)",
                         (size_t)(bytes.control + bytes.batches + bytes.detached));
    }
    session->batches_bytes = bytes.batches;
    return NSP_OK;
}

// NULL if there is no room in shared memory, or if the file can no longer be reached, because the process has
// changed its root or its user.
static void *map_shared_thread(nsp__session *session, uint64_t bytes, uint64_t *offset)
{
    char path[PATH_SIZE];
    path_of(session, "threads", path, sizeof path);
    int fd = nsp__open_again(path, O_RDWR, &session->threads_id);
    if (fd < 0)
        return NULL;
    void *address = NULL;
    *offset = __atomic_fetch_add(&session->control->threads_bytes, bytes, __ATOMIC_RELAXED);
    if (reserve(fd, *offset, bytes) == 0)
        address = nsp__map_file(fd, *offset, bytes);
    // Gives back whatever was reserved before the space ran out.
    if (address == NULL)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)*offset, (off_t)bytes);
    nsp__close(fd);
    return address;
}

bool nsp__session_map_thread(nsp__session *session, uint64_t bytes, void **address, nsp__slot_place *place)
{
    bytes = nsp__paging_up(bytes);
    *address = NULL;
    place->bytes = bytes;
    place->is_private = 0;
    if (nsp__session_shared(session))
        *address = map_shared_thread(session, bytes, &place->offset);
    if (*address == NULL && !session->external) {
        place->is_private = 1;
        place->offset = 0;
        *address = nsp__map_private(bytes);
    }
    return *address != NULL;
}

int nsp__session_open_control(const nsp__session *session)
{
    char path[PATH_SIZE];
    if (!nsp__session_shared(session))
        return -1;
    path_of(session, "control", path, sizeof path);
    return nsp__open_again(path, O_RDWR, &session->control_id);
}

bool nsp__session_has_drainer(const nsp__session *session)
{
    int directory = nsp__open_again(session->directory, O_RDONLY | O_DIRECTORY, &session->directory_id);
    if (directory >= 0) {
        bool drained = !nsp__session_lock_free(directory, "consumer");
        nsp__close(directory);
        return drained;
    }
    // The folder can no longer be reached, because the process has changed its root or its user. A drainer that
    // lives tells the time at which it was here.
    uint64_t pass_ns = __atomic_load_n(&session->control->drainer.pass_ns, __ATOMIC_RELAXED);
    return pass_ns != 0 && pass_ns + 20 * NSP__DRAINER_PASS_NS > nsp__monotonic_ns();
}

void nsp__session_destroy(nsp__session *session)
{
    drop_partial(session);
}

void nsp__session_leave(nsp__session *session)
{
    nsp__mapping_retire(session->detached);
    nsp__mapping_retire(session->batches);
    // DN1: after all that this process has written. What threads still write lies in private pages by now.
    __atomic_store_n(&session->control->drainer.ended, 1, __ATOMIC_RELEASE);
    NSP__TESTPOINT("shutdown: has said that it ended");
    nsp__mapping_retire(session->control);
    nsp__session_lock_release(session->alive);
    memset(session, 0, sizeof *session);
}

void nsp__session_abandon(nsp__session *session)
{
    // The locks are the parent's; their pages do not exist in this process.
    memset(session, 0, sizeof *session);
}
