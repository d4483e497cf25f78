// SPDX-License-Identifier: Apache-2.0
#include "drain/switch_ring.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/descriptor.h"

enum {
    RING_PAGES = 4, // the kernel locks them: less than that if it does not let us have so many
    RECORD_MOST = 64
};

// The times are those of CLOCK_MONOTONIC, which the session's clock knows too. Without samples and without the kernel's
// own instructions, so that perf_event_paranoid may be as much as 2.
static int event_open(uint32_t tid)
{
    struct perf_event_attr event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.type = PERF_TYPE_SOFTWARE;
    event.config = PERF_COUNT_SW_DUMMY;
    event.context_switch = 1;
    event.exclude_kernel = event.exclude_hv = 1;
    event.sample_id_all = 1;
    event.sample_type = PERF_SAMPLE_TIME;
    event.use_clockid = 1;
    event.clockid = CLOCK_MONOTONIC;
    return (int)syscall(SYS_perf_event_open, &event, (pid_t)tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

int nsp__switch_ring_open(nsp__switch_ring *ring, uint32_t tid, bool *mapping)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int fd = event_open(tid);
    *mapping = false;
    memset(ring, 0, sizeof *ring);
    if (fd < 0)
        return errno;
    void *memory = MAP_FAILED;
    size_t bytes = 0;
    int error = 0;
    for (size_t pages = RING_PAGES; pages != 0 && memory == MAP_FAILED; pages /= 2) {
        bytes = (1 + pages) * page;
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        error = errno;
    }
    nsp__close(fd); // the mapping keeps the event
    if (memory == MAP_FAILED) {
        *mapping = true;
        return error;
    }
    nsp__switch_ring_use(ring, memory, bytes);
    return 0;
}

void nsp__switch_ring_use(nsp__switch_ring *ring, void *page, size_t mapped)
{
    const size_t head = (size_t)sysconf(_SC_PAGESIZE);
    *ring = (nsp__switch_ring){
        .page = page, .bytes = (uint8_t *)page + head, .size = mapped - head, .mapped = mapped};
    ring->at = ring->head = __atomic_load_n(&ring->page->data_tail, __ATOMIC_RELAXED);
}

void nsp__switch_ring_close(nsp__switch_ring *ring)
{
    if (ring->page != NULL)
        munmap(ring->page, ring->mapped);
    memset(ring, 0, sizeof *ring);
}

static void copy(const nsp__switch_ring *ring, uint64_t from, void *to, size_t bytes)
{
    const size_t at = (size_t)(from & (ring->size - 1)),
                 first = ring->size - at < bytes ? ring->size - at : bytes;
    memcpy(to, ring->bytes + at, first);
    memcpy((uint8_t *)to + first, ring->bytes, bytes - first);
}

// The time stands at the end of a record, because of sample_id_all.
static bool is_known(const struct perf_event_header *header, const uint8_t *record, nsp__switch_record *out)
{
    const bool lost = header->type == PERF_RECORD_LOST;
    const size_t least = sizeof *header + (lost ? 3 : 1) * sizeof(uint64_t);
    if ((!lost && header->type != PERF_RECORD_SWITCH) || header->size < least || header->size > RECORD_MOST)
        return false;
    memcpy(&out->monotonic, record + header->size - sizeof(uint64_t), sizeof(uint64_t));
    out->lost = 0;
    if (lost) {
        out->kind = NSP__SWITCH_LOST;
        memcpy(&out->lost, record + sizeof *header + sizeof(uint64_t), sizeof(uint64_t));
    } else if ((header->misc & PERF_RECORD_MISC_SWITCH_OUT) == 0) {
        out->kind = NSP__SWITCH_IN;
    } else {
        out->kind = (header->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) != 0 ? NSP__SWITCH_PREEMPTED
                                                                              : NSP__SWITCH_WAITS;
    }
    return true;
}

bool nsp__switch_ring_next(nsp__switch_ring *ring, nsp__switch_record *out)
{
    uint8_t record[RECORD_MOST];
    struct perf_event_header header;
    if (ring->page == NULL)
        return false;
    if (ring->at == ring->head)
        ring->head =
            __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE); // PE2: acquires PE1, the kernel's
    while (ring->at != ring->head) {
        const uint64_t left = ring->head - ring->at;
        bool whole = left <= ring->size && left >= sizeof header;
        if (whole) {
            copy(ring, ring->at, &header, sizeof header);
            whole =
                header.size >= sizeof header && header.size <= left && header.size % sizeof(uint64_t) == 0;
        }
        if (!whole) {
            ring->at = ring->head;
            *out = (nsp__switch_record){.kind = NSP__SWITCH_LOST, .lost = 1};
            return true;
        }
        copy(ring, ring->at, record, header.size < sizeof record ? header.size : sizeof record);
        ring->at += header.size;
        if (is_known(&header, record, out))
            return true;
    }
    return false;
}

void nsp__switch_ring_release(nsp__switch_ring *ring)
{
    if (ring->page != NULL)
        __atomic_store_n(&ring->page->data_tail, ring->at, __ATOMIC_RELEASE); // PE3: to PE4, the kernel's
}

bool nsp__switch_ring_fills(const nsp__switch_ring *ring)
{
    return ring->page != NULL &&
           __atomic_load_n(&ring->page->data_head, __ATOMIC_RELAXED) - ring->at >= ring->size / 4;
}
