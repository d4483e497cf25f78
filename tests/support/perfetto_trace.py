# SPDX-License-Identifier: Apache-2.0
"""Reads a file for Perfetto with the message definitions of its owners (PyPI's perfetto), in the way in which its trace
processor does: packets are sorted by time, those of the same time stay in their order; an end is that of the slice which
began last on its track; an event lies in the slice that is open there. What the trace processor would drop or count as an
error is an AssertionError here."""
from dataclasses import dataclass, field

try:
    from google.protobuf import unknown_fields
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema
except Exception:  # a protobuf that is too old for the schema has an error of its own
    schema = None

DEEPEST = 512  # slices that lie deeper are dropped
REALTIME = 1


@dataclass
class Slice:
    name: str
    track: int
    begin: int
    end: int = None
    inside: object = None  # the slice that it lies in
    annotations: dict = field(default_factory=dict)
    flows: list = field(default_factory=list)
    correlation: str = None


@dataclass
class Track:
    name: str
    parent: int
    process: object = None
    thread: object = None


class Trace:
    """slices and instants in the order in which they begin, tracks by their uuid."""

    def __init__(self, data):
        self.packets = list(schema.Trace.FromString(data).packet)
        self.interned = {"event_names": {}, "debug_annotation_names": {}, "debug_annotation_string_values": {},
                         "correlation_id_str": {}}
        self.tracks, self.slices, self.instants, self.primary_clock = {}, [], [], None
        cleared, clock, events = False, None, []
        for packet in self.packets:
            nothing_unknown(packet)
            if packet.HasField("clock_snapshot"):
                self.primary_clock = packet.clock_snapshot.primary_trace_clock
                self.clocks = [(one.clock_id, one.timestamp) for one in packet.clock_snapshot.clocks]
                assert cleared and not events
            if packet.sequence_flags & schema.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED:
                assert not cleared
                cleared = True
            if packet.HasField("trace_packet_defaults"):
                assert cleared
                clock = packet.trace_packet_defaults.timestamp_clock_id
            if packet.HasField("interned_data"):
                assert cleared and packet.trusted_packet_sequence_id
                self.read_interned(packet.interned_data)
            if packet.HasField("track_descriptor"):
                self.read_track(packet.track_descriptor)
            if packet.HasField("track_event"):
                assert packet.sequence_flags & schema.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE and cleared
                assert packet.trusted_packet_sequence_id and packet.HasField("timestamp") and clock == REALTIME
                assert packet.timestamp < 1 << 63  # they are signed there
                assert packet.track_event.track_uuid in self.tracks
                events.append(packet)
        self.read_events(sorted(events, key=lambda packet: packet.timestamp))  # is stable
        self.in_order = events == sorted(events, key=lambda packet: packet.timestamp)

    def read_interned(self, data):
        for kind, known in self.interned.items():
            for entry in getattr(data, kind):
                text = entry.name if hasattr(entry, "name") else entry.str.decode()
                assert entry.iid and known.setdefault(entry.iid, text) == text, entry

    def read_track(self, about):
        assert about.uuid and about.uuid not in self.tracks
        assert not about.parent_uuid or about.parent_uuid in self.tracks
        process = about.process if about.HasField("process") else None
        thread = about.thread if about.HasField("thread") else None
        assert process is None or process.pid > 0
        assert thread is None or (thread.pid > 0 and thread.tid > 0)
        # Tracks of one name would be merged, and their slices laid anew.
        assert process or about.sibling_merge_behavior == schema.TrackDescriptor.SIBLING_MERGE_BEHAVIOR_NONE
        self.tracks[about.uuid] = Track(about.name, about.parent_uuid, process, thread)

    def value(self, annotation):
        if annotation.dict_entries:
            return self.annotations(annotation.dict_entries)
        if annotation.array_values:
            return [self.value(one) for one in annotation.array_values]
        kind = annotation.WhichOneof("value")
        if kind == "string_value_iid":
            return self.interned["debug_annotation_string_values"][annotation.string_value_iid]
        return getattr(annotation, kind)

    def annotations(self, of):
        named = [(self.interned["debug_annotation_names"][one.name_iid], self.value(one)) for one in of]
        if len(dict(named)) == len(named):
            return dict(named)
        return named  # repeated keys, as they are

    def read_events(self, events):
        open_slices = {}
        for packet in events:
            event, stack = packet.track_event, open_slices.setdefault(packet.track_event.track_uuid, [])
            if event.type == event.TYPE_SLICE_END:
                assert stack, "an end without a begin"
                stack.pop().end = packet.timestamp
                continue
            made = Slice(self.interned["event_names"][event.name_iid], event.track_uuid, packet.timestamp,
                         inside=stack[-1] if stack else None, annotations=self.annotations(event.debug_annotations),
                         flows=list(event.flow_ids),
                         correlation=self.interned["correlation_id_str"].get(event.correlation_id_str_iid))
            assert len(stack) < DEEPEST
            if event.type == event.TYPE_SLICE_BEGIN:
                stack.append(made)
                self.slices.append(made)
            else:
                assert event.type == event.TYPE_INSTANT
                self.instants.append(made)
        assert not any(open_slices.values()), "a begin without an end"
        for one in self.slices:
            assert one.inside is None or one.inside.begin <= one.begin <= one.end <= one.inside.end

    def process_of(self, track):
        while self.tracks[track].process is None:
            track = self.tracks[track].parent
        return self.tracks[track].process

    def arrows(self):
        """Pairs of slices that share a flow: in the order of time, like the arrows."""
        ends = {}
        for one in self.slices:
            for flow in one.flows:
                ends.setdefault(flow, []).append(one)
        assert all(len(pair) == 2 for pair in ends.values())
        return list(ends.values())


def nothing_unknown(message):
    assert len(unknown_fields.UnknownFieldSet(message)) == 0, message
    for about, value in message.ListFields():
        if about.message_type is not None:
            for one in value if hasattr(value, "__len__") and not hasattr(value, "ListFields") else [value]:
                nothing_unknown(one)
