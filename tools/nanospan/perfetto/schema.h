// SPDX-License-Identifier: Apache-2.0
//
// Numbers of Perfetto's public trace schema, as far as they are used: messages of perfetto.protos with the number of
// each field.
#ifndef NANOSPAN_PERFETTO_SCHEMA_H
#define NANOSPAN_PERFETTO_SCHEMA_H

enum { TRACE_PACKET = 1 };

enum {
    PACKET_CLOCK_SNAPSHOT = 6,
    PACKET_TIMESTAMP = 8,
    PACKET_SEQUENCE_ID = 10, // trusted_packet_sequence_id
    PACKET_TRACK_EVENT = 11,
    PACKET_INTERNED_DATA = 12,
    PACKET_SEQUENCE_FLAGS = 13,
    PACKET_DEFAULTS = 59, // trace_packet_defaults
    PACKET_TRACK_DESCRIPTOR = 60
};

// Bits of sequence_flags.
enum { SEQUENCE_STATE_CLEARED = 1, SEQUENCE_NEEDS_STATE = 2 };

enum { DEFAULTS_CLOCK_ID = 58 }; // timestamp_clock_id

enum { SNAPSHOT_CLOCKS = 1, SNAPSHOT_PRIMARY_CLOCK = 2 };
enum { CLOCK_ID = 1, CLOCK_TIMESTAMP = 2 };
enum { BUILTIN_CLOCK_REALTIME = 1 };

enum {
    DESCRIPTOR_UUID = 1,
    DESCRIPTOR_NAME = 2,
    DESCRIPTOR_PROCESS = 3,
    DESCRIPTOR_THREAD = 4,
    DESCRIPTOR_PARENT_UUID = 5,
    DESCRIPTOR_KEEP_SEPARATE = 9, // disallow_merging_with_system_tracks
    DESCRIPTOR_CHILDREN = 11,     // child_ordering
    DESCRIPTOR_RANK = 12,         // sibling_order_rank
    DESCRIPTOR_MERGE = 15         // sibling_merge_behavior
};
enum { CHILDREN_EXPLICIT = 3, MERGE_NONE = 2 };
enum { PROCESS_PID = 1, PROCESS_NAME = 6, PROCESS_LABELS = 8 };
enum { THREAD_PID = 1, THREAD_TID = 2, THREAD_NAME = 5 };

enum {
    EVENT_ANNOTATIONS = 4, // debug_annotations
    EVENT_TYPE = 9,
    EVENT_NAME_IID = 10,
    EVENT_TRACK_UUID = 11,
    EVENT_FLOW_IDS = 47,
    EVENT_CORRELATION_IID = 54 // correlation_id_str_iid
};
enum { EVENT_BEGIN = 1, EVENT_END = 2, EVENT_INSTANT = 3 };

enum {
    INTERNED_EVENT_NAMES = 2,
    INTERNED_ANNOTATION_NAMES = 3,
    INTERNED_STRINGS = 29,
    INTERNED_CORRELATIONS = 43
};
enum { INTERNED_IID = 1, INTERNED_TEXT = 2 }; // the same in all of them

enum {
    ANNOTATION_NAME_IID = 1,
    ANNOTATION_BOOL = 2,
    ANNOTATION_UINT = 3,
    ANNOTATION_INT = 4,
    ANNOTATION_DOUBLE = 5,
    ANNOTATION_STRING = 6,
    ANNOTATION_DICT = 11,
    ANNOTATION_ARRAY = 12,
    ANNOTATION_STRING_IID = 17
};

#endif
