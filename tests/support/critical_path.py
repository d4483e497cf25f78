# SPDX-License-Identifier: Apache-2.0
"""The critical path of a trace and the comparison of two sets of traces, as the documentation defines them, and computed in
the simplest way: what `nanospan view` and the page of traces show is compared with this.

A trace is a list of spans: dicts with id, parent (None: a root), name, start and end (ns); `off` is its time off the CPU."""
import random
from collections import Counter, defaultdict

NOT_SEEN = None  # what lies on the path of a trace without a root, and in no span
UNSEEN_ROOT = "(root not seen)"


class Tree:
    """The parents and children of one trace. A span whose parent is missing, or leads back to it, is an orphan."""

    def __init__(self, spans):
        self.spans = sorted(spans, key=lambda span: (
            span["start"], span["end"] - span["start"] > 1, -(span["end"] - span["start"]), span["id"]))
        self.by_id = {span["id"]: span for span in self.spans}
        self.parent = {}
        for span in self.spans:
            known = span["parent"] in self.by_id and span["parent"] != span["id"]
            self.parent[span["id"]] = span["parent"] if known else None
        for span in self.spans:  # circles are cut where a walk upwards meets itself
            walked, at = set(), span["id"]
            while at is not None:
                walked.add(at)
                if self.parent[at] in walked:
                    self.parent[at] = None
                at = self.parent[at]
        roots = [span for span in self.spans if not span["parent"]]
        self.root = max(roots, key=lambda span: (span["end"] - span["start"], -self.spans.index(span))) if roots else None
        self.start = min(span["start"] for span in self.spans)
        self.end = max(span["end"] for span in self.spans)

    @property
    def name(self):
        return self.root["name"] if self.root else UNSEEN_ROOT

    @property
    def duration(self):
        return self.root["end"] - self.root["start"] if self.root else self.end - self.start

    def children(self, above):
        """Of a span, or of the root that was not seen (None), by start."""
        return [span for span in self.spans if self.parent[span["id"]] == (above["id"] if above else None)]

    def critical_path(self):
        """[(span or NOT_SEEN, start, end)] in the order of time."""
        if self.root:
            parts = self._path(self.root, self.root["start"], self.root["end"])
        else:
            parts = self._path(NOT_SEEN, self.start, self.end)
        joined = []
        for span, start, end in reversed(parts):
            if joined and joined[-1][0] is span and joined[-1][2] == start:
                joined[-1] = (span, joined[-1][1], end)
            elif end > start:
                joined.append((span, start, end))
        return joined

    def _path(self, above, lower, time):
        """The parts of [lower, time), which belongs to `above` and what it waited for; the latest first."""
        parts, left = [], self.children(above)
        while True:
            fit = [(min(span["end"], time), span["start"], place, span) for place, span in enumerate(left)
                   if span["start"] < time and span["end"] > lower and time > lower]
            if not fit:
                break
            end, start, _, child = max(fit, key=lambda one: one[:3])
            left.remove(child)
            if end < time:
                parts.append((above, end, time))
            time = max(start, lower)
            parts += self._path(child, time, end)
        if time > lower:
            parts.append((above, lower, time))
        return parts

    def phase(self, span):
        """The names from the root to the span; None if it is not below the root."""
        names = []
        while span:
            names.append(span["name"])
            top = span
            span = self.by_id.get(self.parent[span["id"]])
        if self.root:
            return tuple(reversed(names)) if top is self.root else None
        return (UNSEEN_ROOT, *reversed(names))

    def phases(self):
        """{phase: [time on the critical path, occurrences, time off the CPU]}"""
        found = defaultdict(lambda: [0, 0, 0])
        for span, start, end in self.critical_path():
            found[self.phase(span) if span else (UNSEEN_ROOT,)][0] += end - start
        for span in self.spans:
            phase = self.phase(span)
            if phase:
                found[phase][1] += 1
                found[phase][2] += span.get("off", 0)
        if not self.root:
            found[(UNSEEN_ROOT,)][1] += 1
        return found


def quantile(durations, share):
    """By nearest rank."""
    return sorted(durations)[max(0, -int(-share * len(durations) // 1) - 1)]


def means(trees):
    """{phase: (mean time on the critical path, occurrences a trace, mean time off the CPU)}"""
    sums = defaultdict(lambda: [0, 0, 0])
    for tree in trees:
        for phase, values in tree.phases().items():
            sums[phase] = [a + b for a, b in zip(sums[phase], values)]
    return {phase: tuple(value / len(trees) for value in values) for phase, values in sums.items()}


def slowest_and_middle(traces):
    """Of [(id, tree)]: the slowest hundredth, and from the 25th to the 75th percentile. Of ones that took equally long, the one
    with the lower id counts as the slower one."""
    ordered = [tree for _, tree in sorted(traces, key=lambda one: (-one[1].duration, one[0]))]
    count = len(ordered)
    tail = -(-count // 100)
    first, last = -(-count // 4), -(-3 * count // 4)  # ranks, the fastest is 1
    return ordered[:tail], ordered[max(tail, count - last):count - first + 1]


def differences(base, other):
    """{phase: difference of the means}; they add up to the difference of the mean durations."""
    a, b = means(base), means(other)
    return {phase: b.get(phase, (0, 0, 0))[0] - a.get(phase, (0, 0, 0))[0] for phase in {*a, *b}}


def random_trace(chance: random.Random, names="abcdefgh", most=40):
    """Children that overlap, outlive their parents or begin before them, orphans, circles, durations of zero, several roots."""
    spans = []
    for number in range(1, chance.randint(1, most) + 1):
        above = chance.choice(spans) if spans and chance.random() < 0.93 else None
        start = chance.randint(0, 100) if above is None else chance.randint(above["start"] - 5, above["end"] + 2)
        end = max(0, start) + chance.choice([0, 0, 1, 3, chance.randint(0, 300), chance.randint(0, 30)])
        parent = above["id"] if above else None if not spans or chance.random() < 0.3 else 10_000 + number
        spans.append({"id": number, "parent": parent, "name": chance.choice(names), "start": max(0, start), "end": end,
                      "off": chance.choice([0, 0, 0, chance.randint(1, 50)])})
    if chance.random() < 0.15:
        spans[0]["parent"] = chance.choice(spans)["id"]
    if chance.random() < 0.1:
        spans[0]["parent"] = 9_999
    return spans


def share_by_span(tree):
    """{id or NOT_SEEN: time on the critical path}"""
    shares = Counter()
    for span, start, end in tree.critical_path():
        shares[span["id"] if span else NOT_SEEN] += end - start
    return shares
