// SPDX-License-Identifier: Apache-2.0
//
// The binary interface, member by member: what inline code compiles into applications and bindings. If a line
// here has to change, the interface is a new one, with another SOVERSION and another number in the name of
// nsp__thread_v4.
#include <nanospan/exporter.h>
#include <nanospan/span.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #member " of " #type)

// ---- abi/layout.h: in shared memory ----

SIZE(nsp__record, 72);
AT(nsp__record, bytes, 0);
AT(nsp__record, name, 4);
AT(nsp__record, start, 8);
AT(nsp__record, end, 16);
AT(nsp__record, flags, 24);
AT(nsp__record, kind, 25);
AT(nsp__record, status, 26);
AT(nsp__record, detached, 27);
AT(nsp__record, threshold, 28);
AT(nsp__record, trace_id, 32);
AT(nsp__record, span_id, 48);
AT(nsp__record, parent_id, 56);
AT(nsp__record, local_root_id, 64);

SIZE(nsp__dropped, 8);
AT(nsp__dropped, attributes, 0);
AT(nsp__dropped, events, 2);
AT(nsp__dropped, links, 4);
AT(nsp__dropped, reserved, 6);

SIZE(nsp__frame, 128);
AT(nsp__frame, tag, 0);
AT(nsp__frame, reserved, 4);
AT(nsp__frame, position, 8);
AT(nsp__frame, cursor, 16);
AT(nsp__frame, events, 20);
AT(nsp__frame, links, 22);
AT(nsp__frame, initial, 24);
AT(nsp__frame, ring, 32);
AT(nsp__frame, limit, 36);
AT(nsp__frame, value_limit, 38);
AT(nsp__frame, drops_at, 40);
AT(nsp__frame, detached, 42);
AT(nsp__frame, locked, 44);
AT(nsp__frame, cpu, 46);
AT(nsp__frame, interrupting, 48);
AT(nsp__frame, record, 56);

// ---- abi/layout.h: of the process ----

SIZE(nsp__entry, 16);
AT(nsp__entry, current, 0);
AT(nsp__entry, frame, 8);

SIZE(nsp__skips, 520);
AT(nsp__skips, generation, 0);
AT(nsp__skips, reserved, 4);
AT(nsp__skips, left, 8);

SIZE(nsp__thread, 40);
AT(nsp__thread, top, 0);
AT(nsp__thread, classes, 8);
AT(nsp__thread, skips, 16);
AT(nsp__thread, generation, 24);
AT(nsp__thread, unsampled_class, 28);
AT(nsp__thread, reads_counter, 32);

// ---- what callers fill in ----

SIZE(nsp_attr, 24);
AT(nsp_attr, key, 0);
AT(nsp_attr, type, 4);
AT(nsp_attr, count, 8);
AT(nsp_attr, value, 16);

SIZE(nsp_link, 584);
AT(nsp_link, context, 0);
AT(nsp_link, attributes, 568);
AT(nsp_link, attribute_count, 576);

SIZE(nsp_span_options, 56);
AT(nsp_span_options, size, 0);
AT(nsp_span_options, kind, 8);
AT(nsp_span_options, parent, 16);
AT(nsp_span_options, new_root, 24);
AT(nsp_span_options, start, 32);
AT(nsp_span_options, links, 40);
AT(nsp_span_options, link_count, 48);

SIZE(nsp_context, 568);
AT(nsp_context, trace_id, 0);
AT(nsp_context, span_id, 16);
AT(nsp_context, flags, 24);
AT(nsp_context, remote, 25);
AT(nsp_context, tracestate_length, 26);
AT(nsp_context, threshold, 32);
AT(nsp_context, randomness, 40);
AT(nsp_context, local_root, 48);
AT(nsp_context, tracestate, 56);

// ---- what exporters read ----

SIZE(nsp_item, 16);
AT(nsp_item, key, 0);
AT(nsp_item, type, 4);
AT(nsp_item, small, 5);
AT(nsp_item, length, 6);
AT(nsp_item, payload, 8);

SIZE(nsp_item_cursor, 16);
AT(nsp_item_cursor, at, 0);
AT(nsp_item_cursor, end, 8);

SIZE(nsp_item_event, 16);
AT(nsp_item_event, ticks, 0);
AT(nsp_item_event, attribute_count, 8);
AT(nsp_item_event, dropped_attributes, 10);
AT(nsp_item_event, reserved, 12);

SIZE(nsp_item_link, 32);
AT(nsp_item_link, trace_id, 0);
AT(nsp_item_link, span_id, 16);
AT(nsp_item_link, flags, 24);
AT(nsp_item_link, remote, 25);
AT(nsp_item_link, attribute_count, 26);
AT(nsp_item_link, dropped_attributes, 28);
AT(nsp_item_link, reserved, 30);

// ---- numbers that inline code compares with ----

_Static_assert(NSP__RECORDING == 1 && NSP__FRAME_ALIGN == 256 && NSP__TAG_MASK == 0xff, "handles");
_Static_assert(NSP__UNSAMPLED_ROOT == 2 && NSP__UNSAMPLED_CHILD == 4 && NSP__ENTERED_INERT == 6 &&
                   NSP__ENDED == 8 && NSP__BUSY == 10 && NSP__OFF == 12 && NSP__UNATTACHED == 14 &&
                   NSP__NOTHING == 16 && NSP__SUSPENDED == 18,
               "sentinels");
_Static_assert(NSP_TYPE_STR == 1 && NSP_TYPE_BOOL == 2 && NSP_TYPE_I64 == 3 && NSP_TYPE_F64 == 4 &&
                   NSP_TYPE_BYTES == 5 && NSP_TYPE_STRS == 6 && NSP_TYPE_BOOLS == 7 && NSP_TYPE_I64S == 8 &&
                   NSP_TYPE_F64S == 9,
               "types of items");
_Static_assert(NSP_NAME_MAX == 8192, "classes are looked up by the low 13 bits of a name");
