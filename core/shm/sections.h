// SPDX-License-Identifier: Apache-2.0
//
// The table of sections at the beginning of the file `control`: which structures the session consists of, where
// they lie, how large they are, and in which form they are written. A reader of another release finds
// everything through it, and so can read this layout, or refuse by name what it does not know. It relies on
// nothing else but the head of the file, which never changes (see nsp__control).
#ifndef NSP_SHM_SECTIONS_H
#define NSP_SHM_SECTIONS_H

#include <nanospan/config.h>

// A section that a reader may pass over if it does not know its kind.
#define NSP__SECTION_OPTIONAL UINT32_C(0x80000000)

// Every section: kind, its number, its version, and its name for a reader's messages. A number is never used
// again for something else. The version of a section is raised when its form changes.
//
// In `control`:
//   ENGINE              the session's limits and counts: from threads_max to policy_generation
//   POLICY_GENERATION   which policy is in force
//   POLICY              the two states of the sampler
//   COUNTERS, CLOCK     nsp__counters, nsp__clock
//   PLACES              where each thread's slot lies in `threads`
//   NAMES, NAME_TEXT    the interned names: entries, and their texts
//   RESOURCE            entries of {nsp_type as a byte, key, 0, value, 0}
//   DRAINER             nsp__drainer; optional: without it the engine drains itself
//   TUNING              what a writer of POLICY adds to each state; optional
//   FIGURES             nsp__figures; optional: without it they are 0
//   OUTLIERS            nsp__outliers, beside each state of POLICY; optional: without it there are no outlier rules
//   OUTLIER_BOUNDS      nsp__outlier_bounds; optional: without it no rule keeps a share
//   SNAPSHOTS           nsp__snapshots; optional: without it nobody asks for one
//   PATHS               nsp__paths. Whoever reads records needs it; in sessions without it, no record has a body
// In `threads`, where the offset counts from the slot's place:
//   SLOT                nsp__slot, at its beginning
//   SLOT_COUNTERS       nsp__slot_counters
//   SKIPS               roots still to be left out, by class
//   SLOT_GENERATION     of the policy, as the thread sees it; optional. Whoever changes a policy needs it. From version
//                       2 on, that is only for whoever knows OUTLIERS too
//   SPECULATION         nsp__speculation; optional: without it, no trace is decided at its end
//   LATENCIES           nsp__latencies; optional: without it nothing was measured
//   FRAME               the fixed part of an open span's frame; slot.frames_offset and frame_stride say where
// In `detached`:
//   DETACHED            the frames of the pool, of the same form as FRAME
// Wherever records lie:
//   RECORD              the fixed part of a record, and the form of the items after it
// In `batches`:
//   BATCH_HEADER        nsp__batch_header
//   COVERAGE            by batch: one word for each thread slot
//   BATCH_DATA          by batch: its bytes
#define NSP__SECTIONS(SECTION)                                                                               \
    SECTION(ENGINE, 1, 1, "engine")                                                                          \
    SECTION(POLICY_GENERATION, 2, 1, "policy generation")                                                    \
    SECTION(POLICY, 3, 1, "policy")                                                                          \
    SECTION(COUNTERS, 4, 1, "counters")                                                                      \
    SECTION(CLOCK, 5, 1, "clock")                                                                            \
    SECTION(PLACES, 6, 1, "places")                                                                          \
    SECTION(NAMES, 7, 1, "names")                                                                            \
    SECTION(NAME_TEXT, 8, 1, "name text")                                                                    \
    SECTION(RESOURCE, 9, 1, "resource")                                                                      \
    SECTION(SLOT, 10, 1, "slot")                                                                             \
    SECTION(SLOT_COUNTERS, 11, 1, "slot counters")                                                           \
    SECTION(SKIPS, 12, 1, "skips")                                                                           \
    SECTION(FRAME, 13, 1, "frame")                                                                           \
    SECTION(DETACHED, 14, 1, "detached")                                                                     \
    SECTION(RECORD, 15, 1, "record")                                                                         \
    SECTION(BATCH_HEADER, 16, 1, "batch header")                                                             \
    SECTION(COVERAGE, 17, 1, "coverage")                                                                     \
    SECTION(BATCH_DATA, 18, 1, "batch data")                                                                 \
    SECTION(DRAINER, 19, 1, "drainer")                                                                       \
    SECTION(TUNING, 20, 2, "tuning")                                                                         \
    SECTION(SLOT_GENERATION, 21, 2, "slot generation")                                                       \
    SECTION(FIGURES, 22, 1, "figures")                                                                       \
    SECTION(OUTLIERS, 23, 1, "outliers")                                                                     \
    SECTION(OUTLIER_BOUNDS, 24, 1, "outlier bounds")                                                         \
    SECTION(SPECULATION, 25, 1, "speculation")                                                               \
    SECTION(LATENCIES, 26, 1, "latencies")                                                                   \
    SECTION(SNAPSHOTS, 27, 1, "snapshots")                                                                   \
    SECTION(PATHS, 28, 1, "paths")

typedef enum nsp__section_kind {
#define NSP__SECTION_KIND(kind, number, version, name) NSP__SECTION_##kind = (number),
    NSP__SECTIONS(NSP__SECTION_KIND)
#undef NSP__SECTION_KIND
} nsp__section_kind;

enum { NSP__SECTIONS_MAX = 48 };

// An entry of the table. In shared memory, written before the file's magic number (MG1), constant after that.
typedef struct nsp__section {
    uint32_t kind;    // nsp__section_kind, with NSP__SECTION_OPTIONAL for a section that may be passed over
    uint32_t version; // of its form
    uint64_t offset;  // of the first element, in its file
    uint64_t stride;  // bytes of an element, and from one element to the next where they follow each other
    uint64_t count;   // of the elements
} nsp__section;

struct nsp__control;

// Writes the table into a control file of zeroes.
void nsp__sections_write(struct nsp__control *control, const nsp_config *config);

// The version in which this build writes a kind of section; 0 if it does not know the kind. kind: as it stands
// in an entry.
uint32_t nsp__section_version(uint32_t kind);

// What the kind is called; NULL if this build does not know it.
const char *nsp__section_name(uint32_t kind);

#endif
