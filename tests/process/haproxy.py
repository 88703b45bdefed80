#!/usr/bin/env python3
"""HAProxy as Debian has it, with the configuration of deploy/haproxy, follows the leader: at most one check long are two servers up."""
import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from cluster import Client, Cluster, Writers, die_with_parent, free_ports, run, wait_until

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "haproxy", "haproxy.cfg")
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
CHECK = 0.5     # `inter` of the example
TIME_OUT = 0.25  # its `timeout check`
SLACK = 0.15    # of this machine, and of looking each few ms


class Proxy:
    """The example with the addresses of this cluster in it, and a socket to ask for the state of its servers."""

    def __init__(self, cluster):
        self.socket = os.path.join(cluster.folder, "haproxy.sock")
        self.config = os.path.join(cluster.folder, "haproxy.cfg")
        self.ports = free_ports(3)
        with open(EXAMPLE, encoding="utf-8") as example:
            text = example.read()
        for node in cluster.nodes:
            text, count = re.subn(rf"10\.0\.0\.{node.number}:6379 check port 7379",
                                  f"{node.host}:{node.port} check port {node.http_port}", text)
            assert count == 3
        for port, own in zip(("6379", "6380", "6381"), self.ports):
            text, count = re.subn(rf"bind :{port}\b", f"bind 127.0.0.1:{own}", text)
            assert count == 1
        text = text.replace("global\n", f"global\n    stats socket {self.socket}\n", 1)
        with open(self.config, "w", encoding="utf-8") as config:
            config.write(text)
        with open(os.path.join(cluster.folder, "haproxy.log"), "wb") as log:
            self.process = subprocess.Popen([HAPROXY, "-db", "-f", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)
        cluster.at_end.append(self.stop)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def up(self, listener="holdfast_primary"):
        """Numbers of the nodes that get connections now."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            try:
                link.connect(self.socket)
            except OSError:
                return set()
            link.sendall(b"show stat\n")
            text = b""
            while bytes_ := link.recv(65536):
                text += bytes_
        rows = csv.DictReader(text.decode().lstrip("# ").splitlines())
        return {int(row["svname"][1:]) for row in rows
                if row["pxname"] == listener and re.fullmatch(r"n\d", row["svname"]) and row["status"].startswith("UP")}

    def client(self, _=None):
        return Client(("127.0.0.1", self.ports[0]), timeout=8)


class Watch(threading.Thread):
    """Who is up, looked at all the time: (since, nodes)."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.proxy, self.states, self.ending = proxy, [], threading.Event()

    def run(self):
        while not self.ending.wait(0.005):
            up = self.proxy.up()
            if not self.states or self.states[-1][1] != up:
                self.states.append((time.monotonic(), up))

    def stop(self):
        self.ending.set()
        self.join(10)
        assert not self.is_alive()

    def longest_overlap(self):
        ends = [since for since, _ in self.states[1:]] + [time.monotonic()]
        return max((end - since for (since, up), end in zip(self.states, ends) if len(up) > 1), default=0)


@unittest.skipUnless(HAPROXY, "haproxy is not installed")
class HAProxy(unittest.TestCase):
    def test_the_example_is_valid(self):
        code, out, errors = run(HAPROXY, "-c", "-f", EXAMPLE)
        self.assertEqual(code, 0, out + errors)
        self.assertNotIn("WARNING", out + errors)

    def follow(self, lose, bring_back):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            proxy = Proxy(cluster)
            wait_until(lambda: proxy.up() == {leader.number}, 10, "HAProxy knows the leader")
            others = {node.number for node in cluster.others(leader)}
            wait_until(lambda: proxy.up("holdfast_replica") == others, 10, "HAProxy knows the followers")
            wait_until(lambda: proxy.up("holdfast_any") == {1, 2, 3}, 10, "HAProxy knows who is ready")
            writers = Writers(cluster.nodes, count=2, connect=proxy.client)
            writers.wait_acked(20)
            watch = Watch(proxy)
            watch.start()
            lost = time.monotonic()
            lose(leader)
            wait_until(lambda: len(proxy.up()) == 1 and leader.number not in proxy.up(), 10, "HAProxy follows")
            took = time.monotonic() - lost
            gap = writers.first_ack_after(lost)
            bring_back(leader)
            cluster.wait_ready(nodes=[leader])
            wait_until(lambda: len(proxy.up("holdfast_replica")) == 2, 10, "the old leader is a replica")
            writers.wait_acked(20)
            writers.stop()
            watch.stop()
            with proxy.client() as client:
                writers.check(client)
            self.assertLess(watch.longest_overlap(), CHECK + SLACK, watch.states)
            self.assertNotIn(leader.number, set().union(*(up for since, up in watch.states if since > lost + took)))
            print(f"HAProxy followed after {took:.2f} s, first write after {gap:.2f} s, "
                  f"two up for {watch.longest_overlap():.2f} s")

    def test_a_killed_leader(self):
        self.follow(lambda leader: leader.kill(), lambda leader: leader.start())

    def test_a_paused_leader(self):
        self.follow(lambda leader: leader.signal(signal.SIGSTOP), lambda leader: leader.signal(signal.SIGCONT))


if __name__ == "__main__":
    unittest.main()
