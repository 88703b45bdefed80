"""make bench-growth: what a write costs as the work grows: keys, partitions, connections, the size of values, workers.

Three nodes, every write synced on a quorum; one thing grows while the rest stays (10,000 keys, one partition, 50 connections, 64 bytes,
one worker). Each point is a cluster of its own; the rounds are medians; in the end its replicas are compared. The table goes to stdout,
the runs to build/growth.json, the plot to docs/bench/growth.svg."""
import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import candidates
import plot
from processes import NotReady, Workplace, busy_cpu_seconds, end_on_signal
from works import Work

AXES = {  # name -> unit, points
    "keys": ("keys", [10**4, 10**5, 10**6, 10**7]),
    "partitions": ("partitions", [1, 4, 16, 64, 256, 1024]),
    "connections": ("connections", [1, 10, 100, 1000, 10000]),
    "values": ("bytes of a value", [16, 256, 4096, 65536, 1 << 20]),
    "workers": ("workers of each node", [1, 2]),
}
USUAL = {"keys": 10**4, "partitions": 1, "connections": 50, "values": 64, "workers": 1}
LARGE_VALUE, LARGE_KEYS = 65536, 200  # keys of large values: the log of a fill has to end some time
MEMORY_MOST = 3 << 30  # bytes of keys and values on one node: a larger point is left out


class Grown(candidates.Holdfast):
    """A cluster for one point."""
    def __init__(self, build, folder, point):
        work = Work("growth", "growth", 3, [], ["REPLICAS", "3", "PARTITIONS", str(point["partitions"])], anywhere=point["partitions"] > 1,
                    workers=point["workers"])
        self.point = point
        super().__init__(build, folder, work)


class Growth:
    def __init__(self, options):
        self.options, self.points, self.problems = options, [], []

    def load(self, candidate, point, operation, limit):
        command = [os.path.join(self.options.build, "bench-load"), "--targets", candidate.target, "--operation", operation,
                   "--connections", point["connections"], "--keys", point["keys"], "--value-size", point["values"],
                   "--pids", ",".join(map(str, candidate.pids())), *candidate.load_options(), *limit]
        busy, began = busy_cpu_seconds(), time.monotonic()
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, check=False)
        busy, elapsed = busy_cpu_seconds() - busy, time.monotonic() - began
        result = json.loads(done.stdout or "{}")
        if done.returncode or result["errors"] or not result["operations"]:
            raise NotReady(result.get("failure") or result.get("last_error") or done.stderr.strip())
        ours = (result["cpu_per_million"] + result["client_cpu_per_million"]) * result["operations"] / 1e6
        result["others_cpu"] = max(0.0, busy - ours) / (elapsed * os.cpu_count())
        return result

    def measure(self, axis, value, folder):
        point = {**USUAL, axis: value}
        if point["values"] >= LARGE_VALUE:
            point["keys"] = LARGE_KEYS
        if point["keys"] * (point["values"] + 100) > self.options.memory:
            self.problems.append(f"{axis} {value}: left out, more than {self.options.memory} bytes on each node")
            return
        place = os.path.join(folder, f"{axis}-{value}")
        os.makedirs(place)
        candidate = Grown(self.options.build, place, point)
        try:
            candidate.start()
            before = candidate.resident_bytes()
            self.load(candidate, {**point, "connections": min(50, point["connections"])}, "fill", ["--pipeline", "16"])
            grown = candidate.resident_bytes() - before
            runs = [self.load(candidate, point, "set", ["--seconds", self.options.seconds, "--seed", number + 1])
                    for number in range(self.options.rounds)]
            equal = candidate.wait_equal()
        except (NotReady, OSError, subprocess.SubprocessError) as trouble:
            self.problems.append(f"{axis} {value}: {trouble}")
            print(self.problems[-1], file=sys.stderr)
            return
        finally:
            candidate.stop()
        middle = {key: statistics.median(run[key] for run in runs)
                  for key in ("cpu_per_million", "per_second", "p50_us", "p99_us", "others_cpu")}
        self.points.append({"axis": axis, "value": value, "resident_growth": grown, "keys_found": equal["keys"], **middle, "runs": runs})

    def print_table(self):
        for axis, (unit, _) in AXES.items():
            mine = [point for point in self.points if point["axis"] == axis]
            if mine:
                print(f"\n{unit:>24}{'cpu/M':>10}{'ops/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'resident MiB':>14}")
            for point in mine:
                print(f"{point['value']:24,}{point['cpu_per_million']:10.2f}{point['per_second']:11,.0f}{point['p50_us'] / 1000:9.2f}"
                      f"{point['p99_us'] / 1000:9.2f}{point['resident_growth'] / (1 << 20):14.1f}")
        for line in self.problems:
            print(line)
        others = statistics.median(point["others_cpu"] for point in self.points) if self.points else 0
        if others > 0.05:
            print(f"noisy: other processes used {others:.0%} of this machine in the median run")

    def write(self):
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine(),
                   "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        with open(os.path.join(self.options.build, "growth.json"), "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "rounds": self.options.rounds, "seconds": self.options.seconds, "points": self.points,
                       "problems": self.problems}, file, indent=1)
        panels = []
        for axis, (unit, _) in AXES.items():
            mine = [point for point in self.points if point["axis"] == axis]
            if len(mine) > 1:
                panels.append(("cpu seconds per million writes", unit,
                               {"holdfast": [(point["value"], point["cpu_per_million"]) for point in mine]}))
                panels.append(("writes per second", unit, {"holdfast": [(point["value"], point["per_second"]) for point in mine]}))
        if panels:
            os.makedirs(os.path.dirname(self.options.plot) or ".", exist_ok=True)
            with open(self.options.plot, "w", encoding="utf-8") as file:
                file.write(plot.page(panels))


def read_options():
    parser = argparse.ArgumentParser(prog="make bench-growth ARGS=...", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of half a second, the smaller points only, plot in the build directory")
    parser.add_argument("--build", default="build")
    parser.add_argument("--axes", default=",".join(AXES), help="comma-separated, of " + ",".join(AXES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--memory", type=int, default=MEMORY_MOST, help="bytes of keys and values that one node may hold")
    parser.add_argument("--plot", default="docs/bench/growth.svg")
    options = parser.parse_args()
    options.axes = options.axes.split(",")
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
        options.plot = os.path.join(options.build, "growth.svg")
    return options


def main():
    options = read_options()
    end_on_signal()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # ten thousand connections, at both ends
    growth = Growth(options)
    with Workplace(options.build, "growth") as folder:
        for axis in options.axes:
            points = AXES[axis][1]
            for value in points[:len(points) // 2 + 1] if options.quick else points:
                growth.measure(axis, value, folder)
    growth.print_table()
    growth.write()
    return 1 if growth.problems else 0


sys.exit(main())
