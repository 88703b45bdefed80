"""The servers that `make bench` compares, each for a work (works.py). A candidate knows how to start, where clients go, which write it
is asked for, and whether its replicas ended up equal."""
import json
import os
import platform

import resp
from nodes import Cluster, Node
from processes import NotReady, Process, free_ports, http, wait_until

START_SECONDS = 30
EQUAL_SECONDS = 60


def is_open(port):
    try:
        with resp.Connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Candidate:
    protocol = "resp"
    keys_most = 10**9  # more would take too long to fill

    def __init__(self, build, folder, work):
        self.build, self.folder, self.work, self.count = build, folder, work, work.nodes
        self.processes = []

    @classmethod
    def takes_part(cls, work):
        return cls.name in work.peers

    def place(self, number):
        path = os.path.join(self.folder, f"{self.name}-{self.work.name}-{number}")
        os.makedirs(path)
        return path

    def write_operation(self):
        """What bench-load is to send for one write, and its further arguments."""
        return "set", []

    def load_options(self):
        """Further arguments of every run."""
        return []

    def pids(self):
        return [process.pid for process in self.processes]

    def resident_bytes(self):
        return self.processes[0].resident_bytes()

    def wait_equal(self):
        """What is equal on all replicas; None when there is nothing to ask. Raises NotReady when they differ."""
        return None

    def stop(self):
        for process in self.processes:
            process.stop()


class Floor(Candidate):
    name = "floor"

    @classmethod
    def takes_part(cls, work):
        return bool(work.floor)

    def start(self):
        followers = [self.start_one(number, "follower", []) for number in range(1, self.count)]
        self.target = f"127.0.0.1:{self.start_one(0, 'leader', followers)}"
        self.processes.reverse()  # the leader first, as everywhere

    def start_one(self, number, role, followers):
        place = self.place(number)
        command = [os.path.join(self.build, "bench-floor"), role, self.work.floor, 0, os.path.join(place, "log"), *followers]
        process = Process(command, place).start()
        self.processes.append(process)
        line = wait_until(lambda: process.check() and process.output().strip(), START_SECONDS, "the floor says its port")
        return line.split()[1]


class Holdfast(Candidate):
    name = "holdfast"
    keyspace, database = "bench", 1  # of a contract of its own

    @classmethod
    def takes_part(cls, work):
        return True

    def start(self):
        self.cluster = Cluster([Node(self.build, self.place(number), "127.0.0.1", options=self.node_options())
                                for number in range(self.count)])
        try:
            self.cluster.start()
        finally:
            self.processes = [node.process for node in self.cluster.nodes if node.process]
        if self.work.contract:
            self.cluster.create(self.keyspace, ["DB", str(self.database), *self.work.contract])
        leader = self.cluster.leader(self.keyspace if self.work.contract else "default")
        self.processes.sort(key=lambda process: process is not leader.process)
        self.target = ",".join(node.name for node in self.cluster.nodes) if self.work.anywhere else leader.name

    def node_options(self):
        return ["--workers", str(self.work.workers)] if self.work.workers > 1 else []

    def load_options(self):
        return ["--database", str(self.database)] if self.work.contract else []

    def wait_equal(self):
        return self.cluster.wait_equal(EQUAL_SECONDS, self.keyspace if self.work.contract else "default") if self.count > 1 else None


class Redis(Candidate):
    """One node, or a master with two replicas; the work says how it syncs, and whether WAIT follows a SET."""
    name = "redis"

    def start(self):
        self.ports = free_ports(self.count)
        for number, port in enumerate(self.ports):
            place = self.place(number)
            command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", place, "--save", "", "--appendonly",
                       "yes", "--appendfsync", self.work.fsync, "--enable-debug-command", "yes", "--daemonize", "no"]
            if number:
                command += ["--replicaof", f"127.0.0.1 {self.ports[0]}"]
            process = Process(command, place).start()
            self.processes.append(process)
            wait_until(lambda p=process, n=port: p.check() and is_open(n), START_SECONDS, "redis answers")
        self.target = f"127.0.0.1:{self.ports[0]}"
        for port in self.ports[1:]:
            wait_until(lambda n=port: b"master_link_status:up" in self.call(n, "INFO", "replication"), START_SECONDS,
                       "a redis replica follows")

    def call(self, port, *words):
        return resp.call(("127.0.0.1", port), *words, timeout=30)

    def write_operation(self):
        return ("setwait", ["--copies", str(self.work.copies)]) if self.work.copies else ("set", [])

    def wait_equal(self):
        if self.count == 1:
            return None
        wait_until(lambda: len({self.offset(port) for port in self.ports}) == 1, EQUAL_SECONDS, "redis replicas have the offset")
        keys = {self.call(port, "DBSIZE") for port in self.ports}
        digests = {self.call(port, "DEBUG", "DIGEST") for port in self.ports}
        if len(keys) > 1 or len(digests) > 1:
            raise NotReady(f"redis replicas differ: keys {keys}, digests {digests}")
        return {"keys": keys.pop(), "digest": digests.pop()}

    def offset(self, port):
        """Of the stream: a master's own, what a replica has got of it."""
        lines = dict(line.split(":", 1) for line in self.call(port, "INFO", "replication").decode().splitlines() if ":" in line)
        return lines.get("slave_repl_offset", lines["master_repl_offset"])


class Etcd(Candidate):
    """Put and Range over gRPC on connections that stay: its own benchmark is not in Debian."""
    name = "etcd"
    protocol = "grpc"
    keys_most = 50000

    def start(self):
        ports = free_ports(2 * self.count)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports[:self.count]]
        peers = [f"http://127.0.0.1:{port}" for port in ports[self.count:]]
        members = ",".join(f"n{number}={peer}" for number, peer in enumerate(peers))
        environment = {}
        if platform.machine() not in ("x86_64", "AMD64"):
            environment["ETCD_UNSUPPORTED_ARCH"] = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        for number, (url, peer) in enumerate(zip(self.urls, peers)):
            place = self.place(number)
            command = ["etcd", "--name", f"n{number}", "--data-dir", os.path.join(place, "data"), "--listen-client-urls", url,
                       "--advertise-client-urls", url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                       "--initial-cluster", members, "--initial-cluster-state", "new", "--log-level", "error"]
            self.processes.append(Process(command, place, environment).start())
        leader = wait_until(self.leader, START_SECONDS, "etcd has a leader")
        self.target = leader.removeprefix("http://")
        self.processes.insert(0, self.processes.pop(self.urls.index(leader)))

    def leader(self):
        for process in self.processes:
            process.check()
        for url in self.urls:
            status, text = http(url + "/v3/maintenance/status", {})
            answer = json.loads(text) if status == 200 else {}
            if answer.get("leader", "0") == answer.get("header", {}).get("member_id"):
                return url
        return None

    def wait_equal(self):
        if self.count == 1:
            return None

        def equal():
            hashes = [json.loads(http(url + "/v3/maintenance/hash", {}, 30)[1] or "{}") for url in self.urls]
            found = {(one.get("hash"), one.get("header", {}).get("revision")) for one in hashes}
            return found.pop() if len(found) == 1 else None
        digest, revision = wait_until(equal, EQUAL_SECONDS, "etcd members have the same hash")
        return {"revision": revision, "digest": digest}


ALL = [Floor, Holdfast, Redis, Etcd]
