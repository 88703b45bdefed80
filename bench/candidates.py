"""The servers that `make bench` compares, each as one node and as three. A candidate knows how to start, where clients go, which
write it is asked for (every write on a quorum's disks before the answer), and whether its replicas ended up equal."""
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

    def __init__(self, build, folder, count):
        self.build, self.folder, self.count = build, folder, count
        self.processes = []

    def place(self, number):
        path = os.path.join(self.folder, f"{self.name}-{self.count}-{number}")
        os.makedirs(path)
        return path

    def write_operation(self):
        """What bench-load is to send for one write, and its further arguments."""
        return "set", []

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

    def start(self):
        followers = [self.start_one(number, "follower", []) for number in range(1, self.count)]
        self.target = f"127.0.0.1:{self.start_one(0, 'leader', followers)}"
        self.processes.reverse()  # the leader first, as everywhere

    def start_one(self, number, role, followers):
        place = self.place(number)
        command = [os.path.join(self.build, "bench-floor"), role, 0, os.path.join(place, "log"), *followers]
        process = Process(command, place).start()
        self.processes.append(process)
        line = wait_until(lambda: process.check() and process.output().strip(), START_SECONDS, "the floor says its port")
        return line.split()[1]


class Holdfast(Candidate):
    name = "holdfast"

    def start(self):
        self.cluster = Cluster([Node(self.build, self.place(number), "127.0.0.1") for number in range(self.count)])
        try:
            self.cluster.start()
        finally:
            self.processes = [node.process for node in self.cluster.nodes if node.process]
        leader = self.cluster.leader()
        self.processes.sort(key=lambda process: process is not leader.process)
        self.target = leader.name

    def wait_equal(self):
        return self.cluster.wait_equal(EQUAL_SECONDS) if self.count > 1 else None


class Redis(Candidate):
    """appendfsync always; as three nodes a write is SET and WAIT 1."""
    name = "redis"

    def start(self):
        self.ports = free_ports(self.count)
        for number, port in enumerate(self.ports):
            place = self.place(number)
            command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", place, "--save", "", "--appendonly",
                       "yes", "--appendfsync", "always", "--enable-debug-command", "yes", "--daemonize", "no"]
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
        return ("setwait", ["--copies", "1"]) if self.count > 1 else ("set", [])

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
