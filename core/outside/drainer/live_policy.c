// SPDX-License-Identifier: Apache-2.0
#include "outside/drainer/live_policy.h"

#include <errno.h>
#include <fcntl.h>

#include "base/testpoint.h"
#include "common/descriptor.h"
#include "shm/session_lock.h"

static bool lies_at(const nsp__section *sections, nsp__section_kind kind, uint64_t offset, uint64_t stride)
{
    return sections[kind].offset - sections[NSP__SECTION_SLOT].offset == offset &&
           sections[kind].stride == stride;
}

bool nsp__live_policy_init(nsp__live_policy *policy, const nsp__session_live *live)
{
    const nsp__section *sections = live->copy.sections;
    const nsp__section *generation = &sections[NSP__SECTION_POLICY_GENERATION];
    const nsp__section *states = &sections[NSP__SECTION_POLICY], *tuning = &sections[NSP__SECTION_TUNING];
    const nsp__section *of_slot = &sections[NSP__SECTION_SLOT_GENERATION];
    const nsp__section *outliers = &sections[NSP__SECTION_OUTLIERS];
    *policy = (nsp__live_policy){.told_at = 0};
    // What is loaded and stored in one piece has to be aligned.
    if (generation->offset % sizeof(uint32_t) != 0 || states->offset % sizeof(uint64_t) != 0 ||
        states->stride != sizeof(nsp__policy) || tuning->version == 0 ||
        tuning->offset % sizeof(uint64_t) != 0 || tuning->stride != sizeof(nsp__tuning) ||
        outliers->version == 0 || outliers->offset % sizeof(uint64_t) != 0 ||
        outliers->stride != sizeof(nsp__outliers) || of_slot->version == 0 ||
        of_slot->offset % sizeof(uint32_t) != 0)
        return false;
    policy->place = (nsp__policy_place){
        .generation = (uint32_t *)(void *)(live->control + generation->offset),
        .policies = (nsp__policy *)(void *)(live->control + states->offset),
        .tunings = (nsp__tuning *)(void *)(live->control + tuning->offset),
        .outliers = (nsp__outliers *)(void *)(live->control + outliers->offset),
    };
    policy->told_at = of_slot->offset - sections[NSP__SECTION_SLOT].offset;
    policy->counts = lies_at(sections, NSP__SECTION_SLOT_COUNTERS, offsetof(nsp__slot, counters),
                             sizeof(nsp__slot_counters)) &&
                     lies_at(sections, NSP__SECTION_SKIPS, offsetof(nsp__slot, skips.left), sizeof(int64_t));
    return true;
}

// As the engine does it (policy.c). Threads whose slots cannot be reached are told by their engine's own drainer.
void nsp__live_policy_tell(const nsp__live_policy *policy, nsp__session_live *live, nsp__ring_source *sources)
{
    enum { TRIES = 100 }; // more only if somebody means harm
    uint32_t generation, now = __atomic_load_n(policy->place.generation, __ATOMIC_RELAXED);
    int tries = 0;
    do {
        generation = now;
        uint32_t count = nsp__session_live_look(live, sources);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t *slot = (uint8_t *)(void *)sources[i].slot;
            if (sources[i].available)
                __atomic_store_n((uint32_t *)(void *)(slot + policy->told_at), generation,
                                 __ATOMIC_RELEASE); // N2
        }
        NSP__TESTPOINT("tune: slots told");
        __atomic_thread_fence(__ATOMIC_SEQ_CST); // N5: at N4
        now = __atomic_load_n(policy->place.generation, __ATOMIC_RELAXED);
    } while (now != generation && ++tries < TRIES);
}

static bool lower_locked(const nsp__policy_place *place, nsp__policy_draft *draft, uint32_t generation,
                         double factor)
{
    uint32_t expected = generation, next = nsp__policy_next(generation);
    const nsp__policy *policy = &place->policies[generation & 1];
    if (__atomic_load_n(place->generation, __ATOMIC_ACQUIRE) != generation || // N1: acquires N2
        !nsp__policy_copy(draft, place, generation))
        return false;
    nsp__policy_factor_set(draft, factor);
    nsp__policy_classes_copy(&draft->policy, policy);
    nsp__policy_write(place, next, draft);
    // N2. It fails if the engine has just ended.
    return __atomic_compare_exchange_n(place->generation, &expected, next, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

bool nsp__live_policy_lower(const nsp__live_policy *policy, const nsp__session_live *live,
                            nsp__policy_draft *draft, uint32_t generation, double factor)
{
    int fd = nsp__open(live->copy.directory, "control", O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
    // Without locks on files, writers are not kept apart anywhere.
    bool changed = fd >= 0 && (nsp__file_lock_until(fd, 0) || errno != EAGAIN) &&
                   lower_locked(&policy->place, draft, generation, factor);
    nsp__close(fd);
    return changed;
}

uint32_t nsp__live_policy_names(const nsp__live_names *names)
{
    return names->names.count < NSP_NAME_MAX ? (uint32_t)names->names.count : NSP_NAME_MAX;
}

nsp_name nsp__live_policy_classify(const nsp__live_policy *policy, const nsp__live_names *names,
                                   nsp_name from, size_t bytes)
{
    const uint32_t end = nsp__live_policy_names(names);
    size_t done = 0;
    for (; from < end && done < bytes; from++) {
        size_t length;
        const char *text = nsp__live_name_text(names, from, &length);
        if (length != 0)
            nsp__policy_classify(&policy->place, from, text, length);
        done += length;
    }
    return from;
}

bool nsp__live_policy_new(const nsp__live_policy *policy)
{
    if (policy->place.generation == NULL)
        return false;
    uint32_t generation = __atomic_load_n(policy->place.generation, __ATOMIC_RELAXED);
    return generation != 0 && generation != policy->follows;
}

void nsp__live_policy_follow(nsp__live_policy *policy, nsp__session_live *live, nsp__ring_source *sources,
                             const nsp__live_names *names)
{
    // Rings fill up meanwhile: with the worst patterns that there can be, this takes some 50 ms.
    enum { BYTES_A_PASS = 4096 };
    if (!nsp__live_policy_new(policy))
        return;
    uint32_t generation = __atomic_load_n(policy->place.generation, __ATOMIC_SEQ_CST); // N3: at N2
    if (generation != policy->following) {
        policy->following = generation;
        policy->next = 1;
        nsp__live_policy_tell(policy, live, sources);
    }
    policy->next = nsp__live_policy_classify(policy, names, policy->next, BYTES_A_PASS);
    if (policy->next >= nsp__live_policy_names(names))
        policy->follows = generation;
}
