// SPDX-License-Identifier: Apache-2.0
#include "store/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mapping.h"
#include "common/seed.h"
#include "common/time.h"
#include "store/session_prune.h"

static uint64_t page_up(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) & ~(page - 1);
}

// A frame of the detached pool: 2 KiB, plus 256 bytes so that neighbours do not alias in the first cache level.
enum { DETACHED_STRIDE = 2048 + 256 };

// Behind the last one, for nsp__frame_place.
enum { DETACHED_MARGIN = 64 * 1024 + 4096 };

static void fill_header(nsp__control *control, const nsp_config *config, uint64_t batches_bytes)
{
    control->version = NSP__SESSION_VERSION;
    control->pid = (uint32_t)getpid();
    control->start_unix_ns = nsp__clock_ns(CLOCK_REALTIME);
    control->control_bytes = sizeof(nsp__control);
    control->threads_max = config->threads;
    control->record_bytes = config->record_bytes;
    control->detached_count = config->detached_spans;
    control->detached_stride = DETACHED_STRIDE;
    control->batch_count = config->batches;
    control->batch_bytes = batches_bytes;
    __atomic_store_n(&control->magic, NSP__SESSION_MAGIC, __ATOMIC_RELEASE);
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

// Opens (or makes) the folder of this user's sessions. A folder that is not ours alone is refused: its owner could
// replace our files under us.
static int open_user_directory(const char *shm_dir, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/nanospan-%u", shm_dir, (unsigned)geteuid());
    if (length < 0 || (size_t)length >= size) {
        errno = ENAMETOOLONG; // cut off, it would be another folder
        return -1;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 077) != 0)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

// Reserves a part of the file. Older kernels give up when a signal comes. Returns an errno.
static int reserve(int fd, uint64_t offset, uint64_t bytes)
{
    int error;
    do
        error = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    while (error == EINTR);
    return error;
}

static int make_file(int directory, const char *name, uint64_t bytes)
{
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    // Reserved now: a page that is missing later would be a SIGBUS in the trading thread.
    int error = bytes == 0 ? 0 : reserve(fd, 0, bytes);
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool lock_whole(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock) == 0;
}

static void *map_new_file(int directory, const char *name, uint64_t bytes)
{
    int fd = make_file(directory, name, bytes);
    if (fd < 0)
        return NULL;
    void *address = nsp__map_file(fd, 0, bytes);
    int error = errno;
    close(fd);
    errno = error;
    return address;
}

static const char *const session_files[] = {"control", "threads", "detached", "batches", "alive", "consumer"};

static void close_files(nsp__session *session)
{
    int *const files[] = {&session->control_fd, &session->threads_fd, &session->consumer_fd,
                          &session->alive_fd, &session->directory_fd};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (*files[i] >= 0)
            close(*files[i]);
        *files[i] = -1;
    }
}

static void remove_files(nsp__session *session)
{
    if (session->directory[0] == 0)
        return;
    for (size_t i = 0; i < sizeof session_files / sizeof session_files[0]; i++)
        if (session->directory_fd >= 0)
            unlinkat(session->directory_fd, session_files[i], 0);
    rmdir(session->directory);
    session->directory[0] = 0;
}

static void forget(nsp__session *session)
{
    memset(session, 0, sizeof *session);
    session->directory_fd = session->control_fd = session->threads_fd = -1;
    session->alive_fd = session->consumer_fd = -1;
}

static void drop_partial(nsp__session *session)
{
    nsp__mapping_retire(session->control);
    nsp__mapping_retire(session->detached);
    nsp__mapping_retire(session->batches);
    remove_files(session);
    close_files(session);
    forget(session);
}

// The last part of the name of this process's session, as it will be before the session's files are there; 0: none.
static uint64_t own_random;
#define OWN_RANDOM(random) (UINT64_C(1) << 32 | (random))

bool nsp__session_is_own(const char *name)
{
    unsigned pid, random;
    const char *dot = strchr(name, '.');
    return dot != NULL && sscanf(dot, ".%u.%8x", &pid, &random) == 2 && pid == (unsigned)getpid() &&
           __atomic_load_n(&own_random, __ATOMIC_ACQUIRE) == OWN_RANDOM(random);
}

// False with errno if shared memory cannot be used; what was made until then is removed.
static bool create_shared(nsp__session *session, const nsp_config *config, uint64_t detached_bytes,
                          uint64_t batches_bytes)
{
    char user_directory[400], name[64];
    int user_fd = open_user_directory(config->shm_dir, user_directory, sizeof user_directory);
    if (user_fd < 0)
        return false;
    close(user_fd);
    nsp__session_prune(user_directory, config->keep_sessions, config->keep_bytes);

    uint32_t random = (uint32_t)nsp__random_seed();
    __atomic_store_n(&own_random, OWN_RANDOM(random), __ATOMIC_RELEASE);
    sanitise(name, sizeof name, config->service_name != NULL ? config->service_name : "");
    snprintf(session->directory, sizeof session->directory, "%s/%s.%u.%08x", user_directory, name,
             (unsigned)getpid(), random);
    if (mkdir(session->directory, 0700) != 0) {
        session->directory[0] = 0;
        return false;
    }
    session->directory_fd = open(session->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool made =
        session->directory_fd >= 0 &&
        (session->alive_fd = make_file(session->directory_fd, "alive", 0)) >= 0 &&
        lock_whole(session->alive_fd) &&
        (session->consumer_fd = make_file(session->directory_fd, "consumer", 0)) >= 0 &&
        (session->control_fd = make_file(session->directory_fd, "control", sizeof(nsp__control))) >= 0 &&
        (session->threads_fd = make_file(session->directory_fd, "threads", 0)) >= 0 &&
        (session->control = nsp__map_file(session->control_fd, 0, sizeof(nsp__control))) != NULL &&
        (session->batches = map_new_file(session->directory_fd, "batches", batches_bytes)) != NULL &&
        (detached_bytes == 0 ||
         (session->detached = map_new_file(session->directory_fd, "detached", detached_bytes)) != NULL);
    // Who drains holds `consumer`: this process does.
    return made && lock_whole(session->consumer_fd);
}

nsp_status nsp__session_create(nsp__session *session, const nsp_config *config, uint64_t batches_bytes)
{
    uint64_t detached_bytes = 0;
    if (config->detached_spans != 0)
        detached_bytes = page_up((uint64_t)config->detached_spans * DETACHED_STRIDE + DETACHED_MARGIN);
    batches_bytes = page_up(batches_bytes);
    forget(session);

    bool shared = false;
    if (config->shm_dir != NULL && strcmp(config->shm_dir, "none") != 0) {
        shared = create_shared(session, config, detached_bytes, batches_bytes);
        if (!shared) {
            int error = errno;
            drop_partial(session);
            nsp__log(NSP_LOG_WARN, "",
                     "no session in shared memory under %s: %s; using private memory, so nothing survives a "
                     "crash and outside tools see nothing",
                     config->shm_dir, strerror(error));
        }
    }
    if (!shared) {
        session->control = nsp__map_private(page_up(sizeof(nsp__control)));
        session->batches = nsp__map_private(batches_bytes);
        if (detached_bytes != 0)
            session->detached = nsp__map_private(detached_bytes);
        if (session->control == NULL || session->batches == NULL ||
            (detached_bytes != 0 && session->detached == NULL)) {
            drop_partial(session);
            return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the session (%zu bytes)",
                             (size_t)(sizeof(nsp__control) + batches_bytes + detached_bytes));
        }
    }
    session->batches_bytes = batches_bytes;
    fill_header(session->control, config, batches_bytes);
    return NSP_OK;
}

bool nsp__session_map_thread(nsp__session *session, uint64_t bytes, void **address, nsp__slot_place *place)
{
    bytes = page_up(bytes);
    *address = NULL;
    place->bytes = bytes;
    place->is_private = 0;
    if (session->threads_fd >= 0) {
        place->offset = __atomic_fetch_add(&session->control->threads_bytes, bytes, __ATOMIC_RELAXED);
        if (reserve(session->threads_fd, place->offset, bytes) == 0)
            *address = nsp__map_file(session->threads_fd, place->offset, bytes);
        // Whatever could be reserved before the space ran out goes back.
        if (*address == NULL)
            fallocate(session->threads_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place->offset,
                      (off_t)bytes);
    }
    if (*address == NULL) {
        place->is_private = 1;
        place->offset = 0;
        *address = nsp__map_private(bytes);
    }
    return *address != NULL;
}

void nsp__session_destroy(nsp__session *session)
{
    drop_partial(session);
}

void nsp__session_abandon(nsp__session *session)
{
    // Closing does not release the parent's record locks: those belong to the parent.
    close_files(session);
    forget(session);
}
