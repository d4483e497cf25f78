// SPDX-License-Identifier: Apache-2.0
#include "shm/sections.h"

#include "shm/batches.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "shm/speculation.h"

_Static_assert(NSP__DETACHED_STRIDE % NSP__FRAME_ALIGN == 0, "handles are addresses of frames");

static const struct {
    uint32_t kind, version;
    const char *name;
} known[] = {
#define KNOWN(kind, number, version, name) {number, version, name},
    NSP__SECTIONS(KNOWN)
#undef KNOWN
};

_Static_assert(sizeof known / sizeof known[0] <= NSP__SECTIONS_MAX, "the table has room for all of them");

static void add(nsp__control *control, uint32_t kind, uint64_t offset, uint64_t stride, uint64_t count)
{
    control->sections[control->section_count++] =
        (nsp__section){kind, nsp__section_version(kind), offset, stride, count};
}

// An array, or anything else that consists of `count` parts of the same size.
#define PARTS(kind, type, member, count)                                                                     \
    add(control, NSP__SECTION_##kind, offsetof(type, member), sizeof(((type *)0)->member) / (count), count)

void nsp__sections_write(nsp__control *control, const nsp_config *config)
{
    const uint64_t engine = offsetof(nsp__control, threads_max);
    control->section_count = 0;
    add(control, NSP__SECTION_ENGINE, engine, offsetof(nsp__control, policy_generation) - engine, 1);
    PARTS(POLICY_GENERATION, nsp__control, policy_generation, 1);
    PARTS(POLICY, nsp__control, policies, 2);
    PARTS(COUNTERS, nsp__control, counters, 1);
    PARTS(CLOCK, nsp__control, clock, 1);
    PARTS(PLACES, nsp__control, places, NSP__THREADS_MAX);
    PARTS(NAMES, nsp__control, names, NSP_NAME_MAX);
    PARTS(NAME_TEXT, nsp__control, name_text, NSP_NAME_TEXT_MAX);
    PARTS(RESOURCE, nsp__control, resource, NSP__RESOURCE_TEXT_MAX);
    add(control, NSP__SECTION_SLOT, 0, sizeof(nsp__slot), config->threads);
    PARTS(SLOT_COUNTERS, nsp__slot, counters, 1);
    PARTS(SKIPS, nsp__slot, skips.left, NSP__CLASSES);
    add(control, NSP__SECTION_FRAME, 0, sizeof(nsp__frame), 1);
    add(control, NSP__SECTION_DETACHED, 0, NSP__DETACHED_STRIDE, config->detached_spans);
    add(control, NSP__SECTION_RECORD, 0, sizeof(nsp__record), 1);
    nsp__batches_layout batches = nsp__batches_layout_of(config);
    add(control, NSP__SECTION_BATCH_HEADER, 0, sizeof(nsp__batch_header), config->batches);
    add(control, NSP__SECTION_COVERAGE, batches.coverage_offset, batches.coverage_stride, config->batches);
    add(control, NSP__SECTION_BATCH_DATA, batches.data_offset, config->batch_bytes, config->batches);
    add(control, NSP__SECTION_DRAINER | NSP__SECTION_OPTIONAL, offsetof(nsp__control, drainer),
        sizeof(nsp__drainer), 1);
    add(control, NSP__SECTION_TUNING | NSP__SECTION_OPTIONAL, offsetof(nsp__control, tunings),
        sizeof(nsp__tuning), 2);
    add(control, NSP__SECTION_SLOT_GENERATION | NSP__SECTION_OPTIONAL, offsetof(nsp__slot, skips.generation),
        sizeof(uint32_t), 1);
    add(control, NSP__SECTION_FIGURES | NSP__SECTION_OPTIONAL, offsetof(nsp__control, figures),
        sizeof(nsp__figures), 1);
    add(control, NSP__SECTION_OUTLIER_BOUNDS | NSP__SECTION_OPTIONAL, offsetof(nsp__control, outlier_bounds),
        sizeof(nsp__outlier_bounds), 1);
    add(control, NSP__SECTION_LATENCIES | NSP__SECTION_OPTIONAL, NSP__SLOT_LATENCIES, sizeof(nsp__latencies),
        1);
    add(control, NSP__SECTION_OUTLIERS | NSP__SECTION_OPTIONAL, offsetof(nsp__control, outliers),
        sizeof(nsp__outliers), 2);
    add(control, NSP__SECTION_SNAPSHOTS | NSP__SECTION_OPTIONAL, offsetof(nsp__control, snapshots),
        sizeof(nsp__snapshots), 1);
    add(control, NSP__SECTION_PATHS, offsetof(nsp__control, paths), sizeof(nsp__paths), 1);
    add(control, NSP__SECTION_SPECULATION | NSP__SECTION_OPTIONAL, NSP__SPECULATION_OFFSET,
        sizeof(nsp__speculation), 1);
}

uint32_t nsp__section_version(uint32_t kind)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].kind == (kind & ~NSP__SECTION_OPTIONAL))
            return known[i].version;
    return 0;
}

const char *nsp__section_name(uint32_t kind)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].kind == (kind & ~NSP__SECTION_OPTIONAL))
            return known[i].name;
    return NULL;
}
