# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""How long local roots took, as an engine says it, as commands show it, and as the spans themselves have it."""
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from engine_process import BUILD, PATIENCE, environment, lines_of, spans_of, wait_until
from peers import missing, need
from prometheus_process import Prometheus
from sink_process import command

UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
ROOTS = 4000


class Latencies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shm = tempfile.mkdtemp(prefix="nanospan-latencies-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        cls.addClassCleanup(shutil.rmtree, cls.shm, True)
        path, cls.file = BUILD / "tests" / "measured", Path(cls.shm, "spans.jsonl")
        if not os.access(path, os.X_OK):
            missing(f"there is no {path}")
        settings = {"OTEL_TRACES_EXPORTER": "file", "NSP_FILE": str(cls.file), "TRACE_SAMPLE_RATE": "1", "SERVICE_NAME": "measured"}
        cls.engine = subprocess.Popen([path, str(ROOTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env=environment(cls.shm, **settings))

        def stop():
            cls.engine.kill()
            cls.engine.communicate()
        cls.addClassCleanup(stop)
        said = [cls.engine.stdout.readline() for _ in range(4)]
        assert said[0] == "ready\n", said
        cls.said = {entry["name"]: entry for entry in map(json.loads, said[1:])}

    def run_it(self, *arguments):
        result = subprocess.run([command(), *arguments], env=environment(self.shm, COLUMNS="200"), capture_output=True, text=True,
                                timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def close(self, value, wanted, part=0.03):
        self.assertLessEqual(abs(value - wanted), part * wanted + 1, (value, wanted))

    def durations(self):
        spans, _ = spans_of(lines_of(self.file))
        found = {}
        for span in spans.values():
            found.setdefault(span.name, []).append(span.end - span.start)
        return {name: sorted(list) for name, list in found.items()}

    def test_the_engine_says_what_its_spans_have(self):
        for name, durations in self.durations().items():
            entry = self.said[name]
            self.assertEqual((entry["count"], len(durations)), (ROOTS, ROOTS))
            for key, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1)):
                self.close(entry[key], durations[math.ceil(len(durations) * share) - 1], 0.02)
            self.close(entry["sum_ns"], sum(durations), 0.001)

    def test_it_equals_what_view_computes(self):
        shown = {}
        for line in self.run_it("view", "--summary", str(self.file)).splitlines():
            times = re.findall(r"([\d.]+) (ns|µs|ms|s)\b", line)
            if line.split() and line.split()[0] in self.said:
                shown[line.split()[0]] = [float(number) * UNITS[unit] for number, unit in times[:4]]
        self.assertEqual(set(shown), set(self.said))
        for name, times in shown.items():
            for key, value in zip(("p50", "p90", "p99", "max"), times):
                self.close(self.said[name][key], value)

    def test_top_shows_it(self):
        document = json.loads(self.run_it("top", "--json", "--once", "--interval", "100ms"))["engines"][0]
        self.assertEqual(document["local_roots_unmeasured"], 0)
        self.assertEqual({entry["name"] for entry in document["local_roots"]}, set(self.said))
        for entry in document["local_roots"]:
            said = self.said[entry["name"]]
            self.assertEqual((entry["count"], entry["sum_ns"], entry["per_second"]), (said["count"], said["sum_ns"], 0))
            self.assertEqual([entry[key] for key in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")],
                             [said[key] for key in ("p50", "p90", "p99", "p999", "max")])
        text = self.run_it("top", "--once", "--interval", "100ms")
        self.assertRegex(text, r"Roots:  order 0/s, p50 [\d.]+us, p99 [\d.]+us, p99.9 [\d.]+us, max [\d.]+\w+\n")

    def test_metrics_have_histograms(self):
        name, found = "nanospan_local_root_duration_seconds", {}
        text = self.run_it("metrics")
        self.assertIn(f"# TYPE {name} histogram\n", text)
        for part, labels, value in re.findall(rf"^{name}_(\w+)\{{(.*)\}} (\S+)$", text, re.M):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found.setdefault(labels["span_name"], {}).setdefault(part, []).append((labels.get("le"), float(value)))
        self.assertEqual(set(found), set(self.said))
        for root, durations in self.durations().items():
            (_, count), = found[root]["count"]
            (_, total), = found[root]["sum"]
            self.assertEqual(count, ROOTS)
            self.close(total * 1e9, self.said[root]["sum_ns"], 1e-6)
            buckets = found[root]["bucket"]
            self.assertEqual(buckets[-1], ("+Inf", ROOTS))
            self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
            # A step lies in the bucket of its middle, so a bucket's edge is blurred by half a step.
            for bound, value in buckets[:-1]:
                edge = float(bound) * 1e9
                self.assertGreaterEqual(value, sum(duration < edge * 0.97 - 25 for duration in durations))
                self.assertLessEqual(value, sum(duration < edge * 1.03 + 25 for duration in durations))

    def test_prometheus_has_quantiles_of_them(self):
        need(shutil.which("promtool"), "there is no promtool (Debian: prometheus)")
        need(shutil.which("prometheus"), "there is no prometheus (Debian: prometheus)")
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.run_it("metrics"), capture_output=True, text=True,
                                 timeout=PATIENCE, check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        port_file = Path(self.shm, "port")
        server = subprocess.Popen([command(), "metrics", "--quiet", "--listen", "0", "--port-file", str(port_file)],
                                  env=environment(self.shm))
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_until(port_file.exists, "the port file")
        prometheus = Prometheus(self, Path(self.shm, "prometheus"), int(port_file.read_text(encoding="ascii")))
        prometheus.wait_until_ready()
        median = "histogram_quantile(0.5, nanospan_local_root_duration_seconds_bucket)"
        seen = {}
        wait_until(lambda: seen.update((labels["span_name"], value) for labels, value in prometheus.ask(median)) or seen, "a scrape")
        self.assertEqual(set(seen), set(self.said))
        for name, value in seen.items():  # within its bucket, which is at most two and a half times as long as it begins
            self.assertTrue(1 / 2.6 < value * 1e9 / self.said[name]["p50"] < 2.6, (name, value))


if __name__ == "__main__":
    unittest.main()
