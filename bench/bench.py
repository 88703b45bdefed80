"""make bench: the candidates take turns, three rounds, medians; CPU seconds of all servers per million operations first.

The figure that travels between machines is the ratio to the floor of the same round. The table says what it compares; all
runs are in build/bench.json."""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import candidates
from processes import NotReady, Workplace, busy_cpu_seconds, end_on_signal
from syncs import SyncCounter

# operation, connections, pipeline
ROWS = [("SET", 50, 1), ("SET", 200, 1), ("SET", 50, 16), ("GET", 50, 1), ("GET", 200, 1), ("GET", 50, 16)]
SHAPES = {1: "one node, every write synced", 3: "three nodes, every write synced on a quorum"}
RATIO_MOST = {1: 1.3, 16: 1.75}  # by pipeline
BYTES_PER_KEY_MOST = 150
VALUE_SIZE = 64
SYNC_SECONDS = 1


class Bench:
    def __init__(self, options):
        self.options = options
        self.runs, self.memory, self.equal, self.problems = [], [], [], []
        self.syncs = SyncCounter()
        self.seed = 0

    # ---- one run of the load generator ----

    def load(self, candidate, operation, connections, pipeline, limit, more=()):
        self.seed += 1
        keys = min(self.options.keys, candidate.keys_most)
        command = [os.path.join(self.options.build, "bench-load"), "--targets", candidate.target, "--protocol",
                   candidate.protocol, "--operation", operation, "--connections", connections, "--pipeline", pipeline, "--keys",
                   keys, "--value-size", VALUE_SIZE, "--seed", self.seed, "--pids", ",".join(map(str, candidate.pids())), *limit, *more]
        busy = busy_cpu_seconds()
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False)
        busy = busy_cpu_seconds() - busy
        result = json.loads(done.stdout or "{}")
        if done.returncode or result["errors"] or result["too_few_copies"] or not result["operations"]:
            said = result.get("failure") or result.get("last_error") or done.stderr.strip() or "writes on too few copies"
            raise NotReady(f"{candidate.name}, {operation}: {said}")
        ours = (result["cpu_per_million"] + result["client_cpu_per_million"]) * result["operations"] / 1e6
        result["others_cpu"] = max(0.0, busy - ours) / (result["seconds"] * os.cpu_count())
        return result

    def load_row(self, candidate, row, seconds):
        operation, connections, pipeline = row
        name, more = candidate.write_operation() if operation == "SET" else (operation.lower(), [])
        return self.load(candidate, name, connections, pipeline, ["--seconds", seconds], more)

    # ---- a shape ----

    def start(self, count, folder):
        started = []
        for kind in candidates.ALL:
            candidate = kind(self.options.build, folder, count)
            if candidate.name not in self.options.candidates:
                continue
            started.append(candidate)
            try:
                candidate.start()
                self.fill(candidate)
            except (NotReady, OSError, subprocess.SubprocessError) as trouble:
                self.problem(started, candidate, trouble)
        return started

    def fill(self, candidate):
        before = candidate.resident_bytes()
        self.load(candidate, "fill", 50, 16, [])
        keys = min(self.options.keys, candidate.keys_most)
        self.memory.append({"nodes": candidate.count, "candidate": candidate.name, "keys": keys,
                            "bytes_per_key": (candidate.resident_bytes() - before) / keys})

    def problem(self, started, candidate, trouble):
        """A candidate that does not work is left out; the others go on."""
        self.problems.append(f"{SHAPES[candidate.count]}: {candidate.name} left out: {trouble}")
        print(self.problems[-1], file=sys.stderr)
        candidate.stop()
        started.remove(candidate)

    def measure(self, count, folder):
        started = self.start(count, folder)
        try:
            for number in range(self.options.rounds):
                for row in ROWS:
                    self.measure_row(started, number, row)
            for row in ROWS:
                self.count_syncs(started, row)
            for candidate in list(started):
                self.compare_replicas(started, candidate)
        finally:
            for candidate in started:
                candidate.stop()

    def measure_row(self, started, number, row):
        for candidate in list(started):
            try:
                result = self.load_row(candidate, row, self.options.seconds)
            except (NotReady, OSError, subprocess.SubprocessError) as trouble:
                self.problem(started, candidate, trouble)
                continue
            self.runs.append({"nodes": candidate.count, "candidate": candidate.name, "operation": row[0], "connections": row[1],
                              "pipeline": row[2], "round": number, **result})
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{self.options.rounds} {candidate.count} x {candidate.name} {row} ", end="", file=sys.stderr)

    def count_syncs(self, started, row):
        """In a run of its own: counting may cost."""
        for candidate in list(started) if row[0] == "SET" else []:
            try:
                result, syncs = self.syncs.during(candidate.pids(), lambda c=candidate: self.load_row(c, row, SYNC_SECONDS))
            except (NotReady, OSError, subprocess.SubprocessError) as trouble:
                self.problem(started, candidate, trouble)
                continue
            if syncs is not None:
                self.runs.append({"nodes": candidate.count, "candidate": candidate.name, "operation": row[0], "connections": row[1],
                                  "pipeline": row[2], "round": "syncs", "syncs_per_operation": syncs / result["operations"]})

    def compare_replicas(self, started, candidate):
        try:
            found = candidate.wait_equal()
        except (NotReady, OSError) as trouble:
            self.problem(started, candidate, trouble)
            return
        if found:
            self.equal.append({"nodes": candidate.count, "candidate": candidate.name, **found})

    # ---- results ----

    def summary(self, count, row, name):
        """Medians of a candidate's runs of a row; None when there are none."""
        mine = [run for run in self.runs if (run["nodes"], run["operation"], run["connections"], run["pipeline"]) == (count, *row)]
        timed = [run for run in mine if run["candidate"] == name and run["round"] != "syncs"]
        floors = {run["round"]: run["cpu_per_million"] for run in mine if run["candidate"] == "floor" and run["round"] != "syncs"}
        if not timed:
            return None
        ratios = [run["cpu_per_million"] / floors[run["round"]] for run in timed if run["round"] in floors]
        counted = [run["syncs_per_operation"] for run in mine if run["candidate"] == name and run["round"] == "syncs"]
        middle = {key: statistics.median(run[key] for run in timed)
                  for key in ("cpu_per_million", "per_second", "p50_us", "p99_us", "others_cpu")}
        return {"nodes": count, "operation": row[0], "connections": row[1], "pipeline": row[2], "candidate": name, **middle,
                "ratio_to_floor": statistics.median(ratios) if ratios else None, "syncs_per_operation": counted[0] if counted else None}

    def summaries(self):
        found = [self.summary(count, row, kind.name) for count in SHAPES for row in ROWS for kind in candidates.ALL]
        return [one for one in found if one]

    def print_table(self):
        shown = None
        for one in self.summaries():
            row = (one["nodes"], one["operation"], one["connections"], one["pipeline"])
            if row != shown:
                by = f", pipelined by {row[3]}" if row[3] > 1 else ""
                print(f"\n{SHAPES[row[0]]}: {row[1]}, {row[2]} connections{by}")
                print(f"  {'':10}{'cpu/M':>9}{'/ floor':>9}{'ops/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'syncs/op':>10}")
                shown = row
            ratio = f"{one['ratio_to_floor']:.2f}" if one["ratio_to_floor"] else "-"
            syncs = f"{one['syncs_per_operation']:.4f}" if one["syncs_per_operation"] is not None else "-"
            print(f"  {one['candidate']:10}{one['cpu_per_million']:9.2f}{ratio:>9}{one['per_second']:11,.0f}"
                  f"{one['p50_us'] / 1000:9.2f}{one['p99_us'] / 1000:9.2f}{syncs:>10}")
        print(f"\nresident bytes per key (16 + {VALUE_SIZE} bytes), {self.options.keys:,} keys")
        for one in self.memory:
            if one["candidate"] in ("holdfast", "redis"):
                print(f"  {one['candidate']:10}{one['nodes']} node{'s' if one['nodes'] > 1 else ' '}{one['bytes_per_key']:9.0f}")
        for one in self.equal:
            what = ", ".join(f"{key} {value}" for key, value in one.items() if key not in ("nodes", "candidate", "digest"))
            print(f"replicas equal: {one['candidate']}: {what}, digest {one['digest'] or 'not offered by the server'}")
        print(f"syncs counted by {self.syncs.how}")

    def verdicts(self):
        """(said, met) of each figure that is to be reached."""
        rows = {(one["nodes"], one["operation"], one["connections"], one["pipeline"], one["candidate"]): one for one in self.summaries()}
        for (nodes, operation, connections, pipeline, name), one in rows.items():
            if name != "holdfast":
                continue
            where = f"{nodes} node{'s' if nodes > 1 else ''}, {operation}, {connections} by {pipeline}"
            if operation == "SET" and one["ratio_to_floor"]:
                most = RATIO_MOST[pipeline]
                yield f"{where}: {one['ratio_to_floor']:.2f} of the floor, at most {most}", one["ratio_to_floor"] <= most
            for other in ("redis", "etcd"):
                rival = rows.get((nodes, operation, connections, pipeline, other))
                if rival:
                    yield (f"{where}: {one['cpu_per_million'] / rival['cpu_per_million']:.2f} of {other}'s cpu/M",
                           one["cpu_per_million"] < rival["cpu_per_million"])
        for one in self.memory:
            if one["candidate"] == "holdfast" and one["nodes"] == 1 and one["keys"] >= 1000000:
                yield f"{one['bytes_per_key']:.0f} bytes per key, at most {BYTES_PER_KEY_MOST}", one["bytes_per_key"] <= BYTES_PER_KEY_MOST

    def print_verdicts(self):
        missed = [said for said, met in self.verdicts() if not met]
        print("\nfigures: " + ("all met" if not missed else "missed:"))
        for said in missed:
            print("  " + said)
        others = statistics.median(run["others_cpu"] for run in self.runs if "others_cpu" in run) if self.runs else 0
        if others > 0.05:
            print(f"noisy: other processes used {others:.0%} of this machine in the median run; compare ratios only")
        for line in self.problems:
            print(line)

    def write(self):
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine(),
                   "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        everything = {"machine": machine, "rounds": self.options.rounds, "seconds": self.options.seconds, "keys": self.options.keys,
                      "rows": self.summaries(), "memory": self.memory, "equal": self.equal, "problems": self.problems,
                      "verdicts": [{"figure": said, "met": met} for said, met in self.verdicts()], "runs": self.runs}
        with open(os.path.join(self.options.build, "bench.json"), "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)


def read_options():
    names = [kind.name for kind in candidates.ALL]
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second a run, 100,000 keys")
    parser.add_argument("--build", default="build")
    parser.add_argument("--nodes", type=int, choices=list(SHAPES), help="only this shape")
    parser.add_argument("--candidates", default=",".join(names), help="comma-separated, of " + ",".join(names))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keys", type=int, default=1000000)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.keys = 1, 1, 100000
    options.candidates = options.candidates.split(",")
    return options


def main():
    options = read_options()
    for program, name in (("redis-server", "redis"), ("etcd", "etcd")):
        if name in options.candidates and not shutil.which(program):
            print(f"{program} is not installed: tools/packages.sh bench")
            return 1
    end_on_signal()
    bench = Bench(options)
    with Workplace(options.build, "bench") as folder:
        for count in [options.nodes] if options.nodes else SHAPES:
            bench.measure(count, folder)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    bench.print_table()
    bench.print_verdicts()
    bench.write()
    return 1 if bench.problems else 0


sys.exit(main())
