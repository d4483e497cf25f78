// SPDX-License-Identifier: Apache-2.0
//
// Processes, threads and lanes as Perfetto's tracks.
#ifndef NANOSPAN_PERFETTO_TRACKS_H
#define NANOSPAN_PERFETTO_TRACKS_H

#include "collected.h"

typedef struct found_thread {
    uint32_t process;
    int64_t id;
    uint32_t name; // 1 + its number among the names of threads; 0: none
} found_thread;

typedef struct tracks {
    collected *from;
    found_thread *threads; // their groups follow those of the processes
    uint32_t thread_count;
    lanes lanes;
    uint64_t base;       // of all numbers that must not be those of another file
    uint64_t first_uuid; // of the lanes; those of the processes come before
} tracks;

// Finds the threads, and gives each span its lane.
void tracks_lay(tracks *t, collected *c);
void tracks_free(tracks *t);

uint64_t tracks_uuid_of_lane(const tracks *t, uint32_t number);
uint64_t tracks_flow_id(const tracks *t, uint32_t flow);

// The packet that describes the track of a process, or of a lane.
void tracks_describe_process(const tracks *t, uint32_t process, text *out);
void tracks_describe_lane(const tracks *t, uint32_t number, text *out);

#endif
