"""Holdfast's own nodes as processes, and the questions both programs here ask them."""
import json
import os

import resp
from processes import NotReady, Process, free_ports, http, wait_until

START_SECONDS = 30
ANSWER_SECONDS = 2.0


class Node:
    def __init__(self, build, folder, host, wrapper=(), options=()):
        """`wrapper`: a command that starts the command (ip netns exec ...); `options`: further ones of holdfastd."""
        self.program, self.folder, self.host, self.wrapper = os.path.join(build, "holdfastd"), folder, host, list(wrapper)
        self.options = list(options)
        self.port = self.peer_port = self.http_port = 0
        self.process = None

    @property
    def address(self):
        return self.host, self.port

    @property
    def name(self):
        return f"{self.host}:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def choose_ports(self, ports):
        self.port, self.peer_port, self.http_port = ports

    def start(self, join=()):
        command = [*self.wrapper, self.program, "--dir", os.path.join(self.folder, "data"), "--listen", self.name,
                   "--peer-listen", f"{self.host}:{self.peer_port}", "--http-listen", f"{self.host}:{self.http_port}", *self.options]
        if join:
            command += ["--join", ",".join(join)]
        self.process = Process(command, self.folder).start()

    def is_ready(self):
        return self.process.check() and http(f"http://{self.host}:{self.http_port}/readyz", timeout=1)[0] == 200

    def call(self, *words):
        return resp.call(self.address, *words, timeout=ANSWER_SECONDS)

    def try_call(self, *words):
        """None when there is no answer."""
        try:
            return self.call(*words)
        except (OSError, resp.ReplyError):
            return None

    def status(self):
        """What STATUS says; nothing when it does not answer."""
        text = self.try_call("STATUS")
        try:
            return json.loads(text) if text else {}
        except ValueError:
            return {}

    def leads(self, keyspace="default"):
        """Of another keyspace than `default`: its first partition."""
        if keyspace != "default":
            status = self.status()
            places = [partition for partition in status.get("partitions", []) if partition["keyspace"] == keyspace]
            return bool(places) and places[0]["leader"] == status["node"]
        role = self.try_call("ROLE")
        return bool(role) and role[0] == b"master"

    def positions(self, keyspace="default"):
        """{partition: (applied, commit, term)} of its replicas, as the node itself knows them."""
        status, found = self.status(), {}
        for partition in status.get("partitions", []):
            for replica in partition["replicas"] if partition["keyspace"] == keyspace else []:
                if replica["node"] == status["node"]:
                    found[partition["id"]] = replica["applied"], partition["commit"], partition["term"]
        return found

    def position(self):
        """Of its replica of `default`; None when it does not answer."""
        return next(iter(self.positions().values()), None)

    def local_keys(self):
        """How many keys this replica has itself: DBSIZE would be answered by the leader."""
        text = (self.call("INFO", "keyspace") or b"").decode()
        return sum(int(line.split("keys=")[1].split(",")[0]) for line in text.splitlines() if line.startswith("db"))

    def local_digest(self, keyspace="default"):
        """Of this node's replicas."""
        return repr(self.call("DEBUG", "DIGEST", keyspace))


class Cluster:
    """One node, or several with the same --join list."""
    def __init__(self, nodes):
        self.nodes, self.join = nodes, []

    def start(self):
        for node in self.nodes:
            node.choose_ports(free_ports(3))
        return self.start_chosen()

    def start_chosen(self):
        self.join = [node.name for node in self.nodes] if len(self.nodes) > 1 else []
        for node in self.nodes:
            node.start(self.join)
        for node in self.nodes:
            wait_until(node.is_ready, START_SECONDS, f"{node.name} is ready")
        return self

    def leader(self, keyspace="default", seconds=START_SECONDS):
        return wait_until(lambda: next((node for node in self.nodes if node.leads(keyspace)), None), seconds, "a node says that it leads")

    def create(self, keyspace, options):
        """Until every node knows a leader of every partition."""
        self.nodes[0].call("KEYSPACE", "CREATE", keyspace, *options)
        count = int(options[options.index("PARTITIONS") + 1]) if "PARTITIONS" in options else 1

        def led(node):
            places = [partition for partition in node.status().get("partitions", []) if partition["keyspace"] == keyspace]
            return len(places) == count and all(partition["leader"] for partition in places)
        for node in self.nodes:
            wait_until(lambda n=node: led(n), START_SECONDS + count / 10, f"{node.name} knows all leaders of {keyspace}")

    def wait_equal(self, seconds=START_SECONDS, keyspace="default"):
        """Waits until every replica has applied the same index and nothing more is committed; answers counts and digests."""
        def settled():
            nodes = [node.positions(keyspace) for node in self.nodes]
            return nodes[0] and all(
                len({place[:2] for place in places}) == 1 and places[0][0] == places[0][1] > 0
                for places in ([node.get(partition, (0, 1, 0)) for node in nodes] for partition in nodes[0]))
        wait_until(settled, seconds, "all replicas have applied the same index")
        keys = [node.local_keys() for node in self.nodes]
        digests = [node.local_digest(keyspace) for node in self.nodes]
        if len(set(keys)) > 1 or len(set(digests)) > 1:
            raise NotReady(f"the replicas differ: keys {keys}, digests {digests}")
        return {"keys": keys[0], "digest": digests[0]}

    def stop(self):
        for node in self.nodes:
            if node.process:
                node.process.stop()
