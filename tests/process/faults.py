#!/usr/bin/env python3
"""What only root can do to real processes: networks that are cut, disks that fail, disks that are full."""
import ctypes
import json
import os
import shutil
import subprocess
import time
import unittest

from cluster import HOLDFAST, LIBC, Client, Cluster, NotConnected, ReplyError, Writers, die_with_parent, run, wait_until

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
ACK_AFTER_CUT_MAX = 2.0


def need(*programs):
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"needs {program}")


def unshare(flag, what):
    if LIBC.unshare(flag) != 0:
        raise unittest.SkipTest(f"this system gives no {what} namespace: {os.strerror(ctypes.get_errno())}")


def command(*words):
    code, out, err = run(*words)
    if code != 0:
        raise unittest.SkipTest(f"{' '.join(words)}: {(err or out).strip()}")


# ---- networks ----

class Network:
    """A bridge in a network namespace of its own, and one namespace for each node; gone with the end of the `with`."""

    def __init__(self, count):
        self.names = [f"hf{os.getpid()}n{i + 1}" for i in range(count)]
        self.hosts = [f"10.73.1.{i + 1}" for i in range(count)]

    def __enter__(self):
        need("ip", "nft")
        self.before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        unshare(CLONE_NEWNET, "network")
        self.hub = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            command("ip", "link", "set", "lo", "up")
            command("ip", "link", "add", "hub", "type", "bridge")
            command("ip", "addr", "add", "10.73.1.254/24", "dev", "hub")
            command("ip", "link", "set", "hub", "up")
            for i, name in enumerate(self.names):
                self.add(i, name)
            command("ip", "netns", "exec", self.names[0], "nft", "list", "tables")
        except BaseException:
            self.__exit__()
            raise
        return self

    def add(self, i, name):
        inside = ["ip", "-n", name]
        command("ip", "netns", "add", name)
        command("ip", "link", "add", f"to{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
        command("ip", "link", "set", f"to{i}", "master", "hub", "up")
        command(*inside, "addr", "add", f"{self.hosts[i]}/24", "dev", "eth0")
        command(*inside, "link", "set", "eth0", "up")
        command(*inside, "link", "set", "lo", "up")

    def __exit__(self, *_):
        for name in self.names:
            run("ip", "netns", "del", name)
        LIBC.setns(self.before, CLONE_NEWNET)
        os.close(self.before)
        os.close(self.hub)

    def cut(self, i, way):
        """`way`: in, out or both. Packets vanish; nobody is told."""
        rules = ["add table inet cut"]
        if way != "out":
            rules += ["add chain inet cut i { type filter hook input priority 0; }", "add rule inet cut i iifname eth0 drop"]
        if way != "in":
            rules += ["add chain inet cut o { type filter hook output priority 0; }", "add rule inet cut o oifname eth0 drop"]
        command("ip", "netns", "exec", self.names[i], "nft", "; ".join(rules))

    def heal(self, i):
        command("ip", "netns", "exec", self.names[i], "nft", "delete table inet cut")

    def client_inside(self, i, node, timeout):
        """A client on the node's own machine: a cut does not part them."""
        with open(f"/run/netns/{self.names[i]}", "rb") as inside:
            LIBC.setns(inside.fileno(), CLONE_NEWNET)
        try:
            return Client(node.address, timeout)
        finally:
            LIBC.setns(self.hub, CLONE_NEWNET)


class CutNetworks(unittest.TestCase):
    def test_a_leader_that_is_cut_off(self):
        with Network(3) as network, Cluster(3, network.hosts, (7000, 7100, 7200)) as cluster:
            for i, node in enumerate(cluster.nodes):
                node.wrapper = ["ip", "netns", "exec", network.names[i]]
            cluster.start()
            writers = Writers(cluster.nodes, connect=lambda node: node.client(timeout=1))
            gaps = [(self.cut_once(cluster, network, writers, way), way) for way in ("both", "in", "out", "both")]
            writers.wait_acked(100)
            writers.stop()
            for node in cluster.nodes:
                with node.client() as client:
                    writers.check(client)
            print("cut to first acknowledged write:", " ".join(f"{way} {gap:.2f}" for gap, way in gaps), "s")
            self.assertLess(max(gaps)[0], ACK_AFTER_CUT_MAX)

    def cut_once(self, cluster, network, writers, way):
        leader = cluster.leader()
        others = cluster.others(leader)
        i = cluster.nodes.index(leader)
        writers.wait_acked(100)
        version = int(time.monotonic() * 1000)
        leader.call("SET", "register", version)
        with network.client_inside(i, leader, 8) as inside:
            inside.call("GET", "register")
            network.cut(i, way)
            cut = time.monotonic()
            try:
                gap = writers.first_ack_after(cut)
                wait_until(lambda: self.try_write(others, "register", version + 1), 15, "a write on the other side")
                self.read_inside(inside, version + 1)
                self.write_inside(inside, way)
            finally:
                network.heal(i)
            self.read_inside(inside, version + 1)
        cluster.wait_ready()
        wait_until(lambda: self.try_read(leader, "register") == version + 1, 10, "the old leader follows the others")
        return gap

    def try_write(self, nodes, key, value):
        for node in nodes:
            try:
                with node.client(timeout=3) as client:
                    return client.call("SET", key, value) == "OK"
            except (OSError, ReplyError, NotConnected):
                continue
        return False

    def try_read(self, node, key):
        try:
            return int(node.call("GET", key) or 0)
        except (OSError, ReplyError, NotConnected):
            return None

    def read_inside(self, inside, floor):
        try:
            value = inside.call("GET", "register")
        except ReplyError:
            return  # refusing is right, answering the past is not
        self.assertGreaterEqual(int(value), floor, "a stale read from the cut-off leader")

    def write_inside(self, inside, way):
        """Without its followers it must not promise anything. One that can only send may still hand a write over."""
        try:
            inside.call("SET", "inside", way)
        except ReplyError as error:
            self.assertRegex(str(error), "^(UNKNOWNOUTCOME|TRYAGAIN|NOREPLICAS|CLUSTERDOWN)")
            return
        self.fail("a leader without a majority acknowledged a write")


# ---- disks ----

class FailingDisks(unittest.TestCase):
    def test_a_failed_sync_stops_the_node(self):
        need("strace")
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            writers = Writers(cluster.nodes)
            writers.wait_acked(100)
            strace = self.fail_syncs(leader)
            code = leader.wait_exit(20)
            failed = time.monotonic()
            strace.wait(10)
            self.assertNotEqual(code, 0)
            self.assertRegex(leader.log().splitlines()[-1], "sync|disk|device|I/O")
            writers.first_ack_after(failed)
            writers.wait_acked(100)
            leader.start()  # a restart reads what is really on the disk
            cluster.wait_ready()
            writers.wait_acked(100)
            writers.stop()
            for node in cluster.nodes:
                with node.client() as client:
                    writers.check(client)

    def fail_syncs(self, node):
        strace = subprocess.Popen(
            ["strace", "-f", "-p", str(node.process.pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
             "-e", "inject=fsync,fdatasync:error=EIO"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        self.addCleanup(strace.stderr.close)
        first = strace.stderr.readline().decode()
        if "attached" not in first:
            strace.kill()
            strace.wait()
            raise unittest.SkipTest(f"strace cannot attach here: {first.strip()}")
        return strace


class FullDisks(unittest.TestCase):
    def small_disk(self, cluster, node, size):
        """The node's folder becomes a disk of `size` with a file on it that can be removed."""
        need()
        unshare(CLONE_NEWNS, "mount")
        LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        os.mkdir(node.dir)
        if LIBC.mount(b"tmpfs", node.dir.encode(), b"tmpfs", 0, b"size=" + size) != 0:
            raise unittest.SkipTest("this system mounts no tmpfs")
        cluster.at_end.append(lambda: LIBC.umount2(node.dir.encode(), 2))
        self.ballast = os.path.join(node.dir, "ballast")

    def fill(self, node):
        """Takes what is free, so that no segment can grow or be made."""
        with open(self.ballast, "wb") as file:
            try:
                while file.write(b"\0" * 65536):
                    file.flush()
            except OSError:
                pass

    def write_until_full(self, client):
        def refused():
            try:
                client.call("RPUSH", "filler", b"x" * 20000)
                return None
            except ReplyError as error:
                return str(error)
        return wait_until(refused, 30, "the disk is full")

    def test_one_node(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            self.small_disk(cluster, node, b"24m")
            cluster.start()
            with node.client() as client:
                client.call("SET", "kept", "yes")
                client.call("SET", "short", "life", "PX", 3000)
                expires = time.monotonic() + 3
                self.fill(node)
                self.assertRegex(self.write_until_full(client), "^MISCONF ")
                length = client.call("LLEN", "filler")
                self.assertEqual(client.call("GET", "kept"), b"yes")
                wait_until(lambda: self.is_refused(client, "INCR", "counter"), 10, "no room for the smallest write either")
                # What ran out of time is gone only when its deletion is logged: until then no answer is right.
                if time.monotonic() < expires:
                    wait_until(lambda: self.is_refused(client, "GET", "short"), 10, "the expired key is refused")
                self.assertEqual(node.http("/livez"), 200)
                self.assertEqual(self.status_of(node), (3, "full"))
                os.unlink(self.ballast)
                wait_until(lambda: not self.is_refused(client, "SET", "after", "yes"), 15, "writes go on by themselves")
                wait_until(lambda: self.status_of(node) == (0, "ok"), 10, "the status is good again")
                wait_until(lambda: "has room again" in node.log(), 5, "the log says so")
                lines = [line for line in node.log().splitlines() if "the disk of" in line]
                self.assertEqual(len(lines), 2, lines)
                self.assertIn("is full: ", lines[0])
                self.assertIn("has room again", lines[1])
                self.assertEqual(client.call("GET", "short"), None)
            node.kill()
            cluster.start()
            self.assertGreaterEqual(node.call("LLEN", "filler"), length)
            self.assertEqual(node.call("MGET", "kept", "after"), [b"yes", b"yes"])

    def status_of(self, node):
        code, out, _ = run(HOLDFAST, "-a", node.name, "status")
        self.assertEqual(f"the disk of node 1 at {node.name} is full" in out.splitlines()[0], code == 3, out)
        answer = json.loads(run(HOLDFAST, "-a", node.name, "status", "--json")[1])
        return code, answer["nodes"][0]["disk"]

    def is_refused(self, client, *words):
        try:
            client.call(*words)
            return False
        except ReplyError as error:
            self.assertRegex(str(error), "^MISCONF ")
            return True

    def test_a_full_follower(self):
        with Cluster(3) as cluster:
            self.small_disk(cluster, cluster.nodes[0], b"24m")
            cluster.start()
            writers = Writers(cluster.nodes)
            writers.wait_acked(50)
            self.fill(cluster.nodes[0])
            wait_until(lambda: self.has_two_leading(cluster), 20, "one of the others leads")
            with cluster.leader().client() as client:
                for _ in range(600):  # 12 MB: more than fits there
                    client.call("RPUSH", "filler", b"x" * 20000)
            writers.wait_acked(200)
            self.assertTrue(cluster.nodes[0].is_running())
            os.unlink(self.ballast)
            writers.stop()
            wait_until(lambda: self.applied(cluster) is not None, 30, "it has caught up")
            with cluster.nodes[0].client() as client:
                writers.check(client)

    def has_two_leading(self, cluster):
        """Kills the full node's leadership if it leads: this test is about a follower."""
        leader = cluster.leader()
        if leader is not cluster.nodes[0]:
            return True
        leader.kill()
        leader.start()
        cluster.wait_ready()
        return False

    def applied(self, cluster):
        positions = {node.call("ROLE")[1 if node.role() == "master" else 4] for node in cluster.nodes}
        return positions if len(positions) == 1 else None

    def test_a_full_leader(self):
        with Cluster(3) as cluster:
            self.small_disk(cluster, cluster.nodes[0], b"24m")
            cluster.start()
            self.make_leader(cluster, cluster.nodes[0])
            writers = Writers(cluster.nodes)
            writers.wait_acked(50)
            self.fill(cluster.nodes[0])
            with cluster.nodes[1].client() as client:
                full = wait_until(lambda: self.write_one(client), 60, "the leader's disk is full, or another leads")
            self.assertRegex(full, "^(MISCONF|UNKNOWNOUTCOME|TRYAGAIN|moved)")
            self.assertEqual(cluster.nodes[0].http("/livez"), 200)
            os.unlink(self.ballast)
            writers.wait_acked(100)
            writers.stop()
            with cluster.leader().client() as client:
                writers.check(client)

    def make_leader(self, cluster, wanted):
        def leads():
            leader = cluster.leader()
            if leader is wanted:
                return True
            leader.kill()
            leader.start()
            cluster.wait_ready()
            return False
        wait_until(leads, 40, f"node {wanted.number} leads")

    def write_one(self, client):
        try:
            return "moved" if client.call("RPUSH", "filler", b"x" * 20000) > 2000 else None
        except ReplyError as error:
            return str(error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
