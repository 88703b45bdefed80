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
import newcopy
import works
from processes import NotReady, Workplace, busy_cpu_seconds, end_on_signal
from syncs import SyncCounter

BYTES_PER_KEY_MOST = 150
VALUE_SIZE = 64
SYNC_SECONDS = 1
FAMILIES = {work.name: work.workers for work in works.ALL if work.family}  # work -> workers of each node


class Bench:
    def __init__(self, options):
        self.options = options
        self.runs, self.memory, self.equal, self.problems = [], [], [], []
        self.syncs = SyncCounter()
        self.seed = 0
        self.copies = newcopy.NewCopy(options.build, options.copy_keys, options.rounds, options.candidates)

    # ---- one run of the load generator ----

    def load(self, candidate, operation, connections, pipeline, limit, more=()):
        self.seed += 1
        keys = min(self.options.keys, candidate.keys_most)
        command = [os.path.join(self.options.build, "bench-load"), "--targets", candidate.target, "--protocol",
                   candidate.protocol, "--operation", operation, "--connections", connections, "--pipeline", pipeline, "--keys",
                   keys, "--value-size", VALUE_SIZE, "--seed", self.seed, "--pids", ",".join(map(str, candidate.pids())),
                   *candidate.load_options(), *limit, *more]
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

    # ---- a work ----

    def start(self, work, folder):
        started = []
        for kind in candidates.ALL:
            if kind.name not in self.options.candidates or not kind.takes_part(work):
                continue
            candidate = kind(self.options.build, folder, work)
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
        self.memory.append({"work": candidate.work.name, "candidate": candidate.name, "keys": keys,
                            "bytes_per_key": (candidate.resident_bytes() - before) / keys})

    def problem(self, started, candidate, trouble):
        """A candidate that does not work is left out; the others go on."""
        self.problems.append(f"{candidate.work.title}: {candidate.name} left out: {trouble}")
        print(self.problems[-1], file=sys.stderr)
        candidate.stop()
        started.remove(candidate)

    def measure(self, work, folder):
        started = self.start(work, folder)
        try:
            for number in range(self.options.rounds):
                for row in work.rows:
                    self.measure_row(started, number, row)
            for row in work.rows:
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
            self.runs.append({"work": candidate.work.name, "candidate": candidate.name, "operation": row[0], "connections": row[1],
                              "pipeline": row[2], "round": number, **result})
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{self.options.rounds} {candidate.work.name}: {candidate.name} {row} ", end="", file=sys.stderr)

    def count_syncs(self, started, row):
        """In a run of its own: counting may cost."""
        for candidate in list(started) if row[0] == "SET" else []:
            try:
                result, syncs = self.syncs.during(candidate.pids(), lambda c=candidate: self.load_row(c, row, SYNC_SECONDS))
            except (NotReady, OSError, subprocess.SubprocessError) as trouble:
                self.problem(started, candidate, trouble)
                continue
            if syncs is not None:
                self.runs.append({"work": candidate.work.name, "candidate": candidate.name, "operation": row[0], "connections": row[1],
                                  "pipeline": row[2], "round": "syncs", "syncs_per_operation": syncs / result["operations"]})

    def compare_replicas(self, started, candidate):
        try:
            found = candidate.wait_equal()
        except (NotReady, OSError) as trouble:
            self.problem(started, candidate, trouble)
            return
        if found:
            self.equal.append({"work": candidate.work.name, "candidate": candidate.name, **found})

    # ---- results ----

    def summary(self, work, row, name):
        """Medians of a candidate's runs of a row; None when there are none."""
        mine = [run for run in self.runs if (run["work"], run["operation"], run["connections"], run["pipeline"]) == (work, *row)]
        timed = [run for run in mine if run["candidate"] == name and run["round"] != "syncs"]
        if not timed:
            return None
        counted = [run["syncs_per_operation"] for run in mine if run["candidate"] == name and run["round"] == "syncs"]
        middle = {key: statistics.median(run[key] for run in timed)
                  for key in ("cpu_per_million", "per_second", "p50_us", "p99_us", "others_cpu")}
        return {"work": work, "operation": row[0], "connections": row[1], "pipeline": row[2], "candidate": name, **middle,
                "to_floor": self.ratio(mine, timed, "floor"), "to_redis": self.ratio(mine, timed, "redis"),
                "syncs_per_operation": counted[0] if counted else None}

    @staticmethod
    def ratio(mine, timed, other):
        """Of cpu/M, round by round, the median; None where the other was not there."""
        theirs = {run["round"]: run["cpu_per_million"] for run in mine if run["candidate"] == other and run["round"] != "syncs"}
        ratios = [run["cpu_per_million"] / theirs[run["round"]] for run in timed if theirs.get(run["round"])]
        return statistics.median(ratios) if ratios else None

    def summaries(self):
        found = [self.summary(work.name, row, kind.name) for work in works.ALL for row in work.rows for kind in candidates.ALL]
        return [one for one in found if one]

    def print_table(self):
        titles, shown = {work.name: work.title for work in works.ALL}, None
        for one in self.summaries():
            row = (one["work"], one["operation"], one["connections"], one["pipeline"])
            if row != shown:
                by = f", pipelined by {row[3]}" if row[3] > 1 else ""
                print(f"\n{titles[row[0]]}: {row[1]}, {row[2]} connections{by}")
                print(f"  {'':10}{'cpu/M':>9}{'/ floor':>9}{'/ redis':>9}{'ops/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'syncs/op':>10}")
                shown = row
            ratios = "".join(f"{one[key]:9.2f}" if one[key] else f"{'-':>9}" for key in ("to_floor", "to_redis"))
            syncs = f"{one['syncs_per_operation']:.4f}" if one["syncs_per_operation"] is not None else "-"
            print(f"  {one['candidate']:10}{one['cpu_per_million']:9.2f}{ratios}{one['per_second']:11,.0f}"
                  f"{one['p50_us'] / 1000:9.2f}{one['p99_us'] / 1000:9.2f}{syncs:>10}")
        print(f"\nresident bytes per key (16 + {VALUE_SIZE} bytes), {self.options.keys:,} keys")
        for one in self.memory:
            if one["candidate"] in ("holdfast", "redis"):
                print(f"  {one['work']:10}{one['candidate']:10}{one['bytes_per_key']:9.0f}")
        for one in self.equal:
            what = ", ".join(f"{key} {value}" for key, value in one.items() if key not in ("work", "candidate", "digest"))
            print(f"replicas equal: {one['work']}: {one['candidate']}: {what}, digest {one['digest'] or 'not offered by the server'}")
        print(f"syncs counted by {self.syncs.how}")

    def print_copies(self):
        if self.copies.runs:
            self.copies.print_table()
        self.problems += self.copies.problems

    def print_scaling(self):
        """Of works of a family, side by side: what one more worker costs and brings."""
        rows = [one for one in self.summaries() if one["candidate"] == "holdfast" and FAMILIES.get(one["work"])]
        if not rows:
            return
        print(f"\nhow workers scale, on {os.cpu_count()} cores with the load generator\n"
              f"  {'':22}{'workers':>8}{'cpu/M':>9}{'/ one':>7}{'ops/s':>11}{'/ one':>7}{'p50 ms':>9}{'p99 ms':>9}")
        for one in sorted(rows, key=lambda one: (one["operation"], one["pipeline"], FAMILIES[one["work"]])):
            first = next((other for other in rows if FAMILIES[other["work"]] == 1 and
                          (other["operation"], other["pipeline"]) == (one["operation"], one["pipeline"])), one)
            what = f"{one['operation']}, {one['connections']} by {one['pipeline']}"
            print(f"  {what:22}{FAMILIES[one['work']]:8}{one['cpu_per_million']:9.2f}"
                  f"{one['cpu_per_million'] / first['cpu_per_million']:7.2f}{one['per_second']:11,.0f}"
                  f"{one['per_second'] / first['per_second']:7.2f}{one['p50_us'] / 1000:9.2f}{one['p99_us'] / 1000:9.2f}")

    def verdicts(self):
        """(said, met) of each figure that is to be reached."""
        ours = {(one["work"], one["operation"], one["connections"], one["pipeline"]): one
                for one in self.summaries() if one["candidate"] == "holdfast"}
        for work in works.ALL:
            for row in work.rows:
                if (work.name, *row) in ours:
                    yield from self.verdicts_of(work, row, ours[work.name, *row])
        yield from self.copies.verdicts()
        for one in self.memory:
            if one["candidate"] == "holdfast" and one["work"] == "one" and one["keys"] >= 1000000:
                yield f"{one['bytes_per_key']:.0f} bytes per key, at most {BYTES_PER_KEY_MOST}", one["bytes_per_key"] <= BYTES_PER_KEY_MOST

    def verdicts_of(self, work, row, one):
        where = f"{work.title}, {row[0]}, {row[1]} by {row[2]}"
        if one["to_floor"] and row in work.of_floor:
            yield f"{where}: {one['to_floor']:.2f} of the floor, at most {work.of_floor[row]}", one["to_floor"] <= work.of_floor[row]
        if one["to_redis"]:
            most = work.of_redis.get(row, 1)
            yield f"{where}: {one['to_redis']:.2f} of redis's cpu/M, at most {most}", one["to_redis"] <= most
        etcd = self.summary(work.name, row, "etcd")
        if etcd:
            ratio = one["cpu_per_million"] / etcd["cpu_per_million"]
            yield f"{where}: {ratio:.2f} of etcd's cpu/M, at most 1", ratio <= 1

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
                      "verdicts": [{"figure": said, "met": met} for said, met in self.verdicts()], "runs": self.runs,
                      "copies": self.copies.runs}
        with open(os.path.join(self.options.build, "bench.json"), "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)


def read_options():
    names = [kind.name for kind in candidates.ALL]
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second a run, 100,000 keys")
    parser.add_argument("--build", default="build")
    parser.add_argument("--works", default=",".join([work.name for work in works.ALL] + ["newcopy"]), help="comma-separated; works.py says what they are")
    parser.add_argument("--candidates", default=",".join(names), help="comma-separated, of " + ",".join(names))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--copy-keys", default="1000000,5000000", help="of `newcopy`, comma-separated")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.keys, options.copy_keys = 1, 1, 100000, "100000"
    options.copy_keys = [int(word) for word in options.copy_keys.split(",")]
    options.candidates, options.works = options.candidates.split(","), options.works.split(",")
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
        for work in works.ALL:
            if work.name in options.works or work.family in options.works:
                bench.measure(work, folder)
        if "newcopy" in options.works:
            bench.copies.measure(folder)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if bench.runs:
        bench.print_table()
    bench.print_copies()
    bench.print_scaling()
    bench.print_verdicts()
    bench.write()
    return 1 if bench.problems else 0


sys.exit(main())
