"""How long one more copy takes: from the moment it is asked for until it is ready, beside the full sync of a redis replica.

Two ways lead to a copy here, and each is a row: through the log as long as it goes back to the beginning, else a snapshot and the log
behind it. The values are all different, so that nobody profits from packing them. `calm` and `while` are the p99 of a client that sets
keys one after the other on the source, without a bootstrap and during it: SPARSE requests a second, whatever the server does."""
import os
import statistics
import subprocess
import threading
import time

import resp
from nodes import START_SECONDS, Cluster, Node
from processes import NotReady, Process, free_ports, wait_until

KEYSPACE, DATABASE = "bench", 1
VALUE_SIZE = 100
SYNC_SECONDS = 300  # a copy that takes longer is none
SPARSE = 200        # requests a second while it is watched
CALM_SECONDS = 2
OF_REDIS = 0.5      # of its time, at most


class Watch(threading.Thread):
    """SETs at fixed times, each counted from the time at which it was due: who is late does not hide it."""
    def __init__(self, address, database):
        super().__init__(daemon=True)
        self.address, self.database, self.ending, self.times, self.trouble = address, database, threading.Event(), [], None
        self.start()

    def run(self):
        try:
            with resp.Connection(self.address, 10) as client:
                if self.database:
                    client.call("SELECT", self.database)
                due, number = time.monotonic(), 0
                while not self.ending.wait(max(0, due - time.monotonic())):
                    client.call("SET", f"watch:{number % 1000}", "v")
                    self.times.append(time.monotonic() - due)
                    due, number = due + 1 / SPARSE, number + 1
        except (OSError, resp.ReplyError) as trouble:
            self.trouble = trouble

    def p99_ms(self):
        self.ending.set()
        self.join(20)
        if self.trouble or not self.times:
            raise NotReady(f"the client beside it failed: {self.trouble or 'no answer'}")
        return 1000 * sorted(self.times)[int(len(self.times) * 0.99)]


class Ours:
    """A keyspace of one copy on three nodes gets a second one."""
    def __init__(self, build, folder, way):
        self.way, self.name = way, f"holdfast, {way}"
        self.folder = os.path.join(folder, f"newcopy-{way}")
        options = ["--snapshot-seconds", "1"] if way == "snapshot" else []
        self.cluster = Cluster([Node(build, os.path.join(self.folder, str(number)), "127.0.0.1", options=options)
                                for number in range(3)])
        self.source = None

    def start(self):
        self.cluster.start()
        self.cluster.nodes[0].call("KEYSPACE", "CREATE", KEYSPACE, "DB", DATABASE, "REPLICAS", "1", "SYNC", "interval:1000")
        self.source = self.cluster.leader(KEYSPACE)

    @property
    def address(self):
        return self.source.address

    database = DATABASE

    def snapshots(self):
        group = f"{self.place()['id']:016x}-"
        names = os.listdir(os.path.join(self.source.folder, "data", "snapshots"))
        return sorted(name for name in names if name.startswith(group) and name.endswith(".snap"))

    def settle(self):
        """Two snapshots behind the fill: from then on its log does not go back to the beginning."""
        if self.way != "snapshot":
            return
        filled, before = time.monotonic(), self.snapshots()
        while len(set(self.snapshots()) - set(before)) < 2:
            if time.monotonic() > filled + SYNC_SECONDS:
                raise NotReady("no snapshots of what was written")
            with resp.Connection(self.address, 10) as client:
                client.call("SELECT", DATABASE)
                client.call("SET", "one more", "v")
            time.sleep(0.2)

    def place(self):
        return next(one for one in self.source.status().get("partitions", []) if one["keyspace"] == KEYSPACE)

    def ask(self):
        self.source.call("KEYSPACE", "ALTER", KEYSPACE, "REPLICAS", "2")

    def is_ready(self):
        """By the leader's word, and by the copy's own."""
        copies = self.place()["replicas"]
        if len(copies) < 2 or any(copy["state"] != "ready" or copy["role"] == "learner" for copy in copies):
            return False
        other = next(copy["node"] for copy in copies if copy["node"] != self.source.status()["node"])
        node = next(node for node in self.cluster.nodes if node.status()["node"] == other)
        return node.is_ready() and node.positions(KEYSPACE)

    def check(self):
        wait_until(lambda: len({node.local_digest(KEYSPACE) for node in self.cluster.nodes if node.positions(KEYSPACE)}) == 1,
                   START_SECONDS, "both copies are equal")

    def stop(self):
        self.cluster.stop()


class Redis:
    way, name, database = "full sync", "redis", 0

    def __init__(self, _, folder, way):
        self.folder, self.ports, self.processes = os.path.join(folder, "newcopy-redis"), free_ports(2), []
        assert way == self.way

    def start(self):
        for port in self.ports:
            place = os.path.join(self.folder, str(port))
            os.makedirs(place)
            command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", place, "--save", "", "--appendonly", "no",
                       "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"]
            self.processes.append(Process(command, place).start())
            wait_until(lambda p=port: self.answers(p), START_SECONDS, "redis answers")

    def answers(self, port):
        try:
            return self.call(port, "PING")
        except OSError:
            return None

    @staticmethod
    def call(port, *words):
        return resp.call(("127.0.0.1", port), *words, timeout=60)

    @property
    def address(self):
        return "127.0.0.1", self.ports[0]

    def settle(self):
        pass

    def ask(self):
        self.call(self.ports[1], "REPLICAOF", "127.0.0.1", str(self.ports[0]))

    def is_ready(self):
        return b"master_link_status:up" in self.call(self.ports[1], "INFO", "replication")

    def check(self):
        wait_until(lambda: len({self.call(port, "DEBUG", "DIGEST") for port in self.ports}) == 1, START_SECONDS, "both copies are equal")

    def stop(self):
        for process in self.processes:
            process.stop()


WAYS = [(Ours, "log"), (Ours, "snapshot"), (Redis, "full sync")]


class NewCopy:
    """The rows of a run: time and p99 of each way, for each number of keys."""
    def __init__(self, build, keys, rounds, candidates):
        self.build, self.keys, self.rounds = build, keys, rounds
        self.ways = [way for way in WAYS if ("redis" if way[0] is Redis else "holdfast") in candidates]
        self.runs, self.problems = [], []

    def measure(self, folder):
        for number in range(self.rounds):
            for keys in self.keys:
                for kind, way in self.ways:
                    self.measure_one(os.path.join(folder, f"{number}-{keys}"), kind, way, keys)

    def measure_one(self, folder, kind, way, keys):
        one = kind(self.build, folder, way)
        try:
            one.start()
            self.fill(one, keys)
            one.settle()
            watch = Watch(one.address, one.database)
            watch.ending.wait(CALM_SECONDS)
            calm_ms = watch.p99_ms()
            watch, began = Watch(one.address, one.database), time.monotonic()
            one.ask()
            wait_until(one.is_ready, SYNC_SECONDS, "the new copy is ready")
            seconds, while_ms = time.monotonic() - began, watch.p99_ms()
            one.check()
            self.runs.append({"keys": keys, "candidate": one.name, "seconds": seconds, "calm_ms": calm_ms, "while_ms": while_ms})
        except (NotReady, OSError, resp.ReplyError, subprocess.SubprocessError) as trouble:
            self.problems.append(f"a new copy of {keys:,} keys: {one.name}: {trouble}")
        finally:
            one.stop()

    def fill(self, one, keys):
        command = [os.path.join(self.build, "bench-load"), "--targets", "%s:%d" % one.address, "--operation", "fill", "--pipeline", "16",
                   "--keys", str(keys), "--value-size", str(VALUE_SIZE), "--distinct", "1", "--database", str(one.database)]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=SYNC_SECONDS, check=True)

    def summaries(self):
        for keys in self.keys:
            for name in dict.fromkeys(run["candidate"] for run in self.runs):
                mine = [run for run in self.runs if (run["keys"], run["candidate"]) == (keys, name)]
                if mine:
                    yield {"keys": keys, "candidate": name, **{key: statistics.median(run[key] for run in mine)
                                                               for key in ("seconds", "calm_ms", "while_ms")}}

    def print_table(self):
        print(f"\none more copy, keys of {VALUE_SIZE} bytes, one client of {SPARSE} writes a second beside it\n"
              f"  {'keys':>10}  {'':20}{'seconds':>9}{'/ redis':>9}{'calm p99 ms':>13}{'while p99 ms':>14}")
        for one in self.summaries():
            ratio = self.of_redis(one)
            print(f"  {one['keys']:10,}  {one['candidate']:20}{one['seconds']:9.2f}{f'{ratio:.2f}' if ratio else '-':>9}"
                  f"{one['calm_ms']:13.2f}{one['while_ms']:14.2f}")

    def of_redis(self, one):
        theirs = [other["seconds"] for other in self.summaries() if (other["keys"], other["candidate"]) == (one["keys"], "redis")]
        return one["seconds"] / theirs[0] if theirs and theirs[0] else None

    def verdicts(self):
        for one in self.summaries():
            ratio = self.of_redis(one)
            if ratio and one["candidate"] != "redis":
                what = f"a new copy of {one['keys']:,} keys, {one['candidate']}"
                yield f"{what}: {ratio:.2f} of redis's time, at most {OF_REDIS}", ratio <= OF_REDIS
                yield f"{what}: p99 {one['while_ms']:.1f} ms, {one['calm_ms']:.1f} ms without, at most twice", \
                    one["while_ms"] <= 2 * one["calm_ms"]
