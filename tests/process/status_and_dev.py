#!/usr/bin/env python3
"""`holdfast status` tells the truth of a cluster; `holdfast dev` runs one and leaves nothing behind."""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

from cluster import HOLDFAST, Client, Cluster, NotConnected, ReplyError, die_with_parent, run, wait_until

NODE_FIELDS = ["id", "addr", "site", "zone", "state", "disk", "duty", "suspected_by", "timing", "pauses"]
PARTITION_FIELDS = ["keyspace", "id", "slots", "leader", "term", "replicas"]
REPLICA_FIELDS = ["id", "node", "role", "state", "since_ms", "because", "applied", "lag_entries", "lag_ms"]


def status(node):
    code, out, err = run(HOLDFAST, "-a", node.name, "status", "--json")
    assert err == "", err
    return code, json.loads(out)


def sentence(node):
    code, out, _ = run(HOLDFAST, "-a", node.name, "status")
    return code, out.splitlines()[0]


def default_partition(answer):
    return next(partition for partition in answer["partitions"] if partition["keyspace"] == "default")


class Status(unittest.TestCase):
    def test_shape(self):
        with Cluster(3) as cluster:
            cluster.nodes[0].options = ["--site", "north", "--zone", "n1"]
            cluster.start()
            wait_until(lambda: status(cluster.nodes[1])[0] == 0, 10, "healthy")
            for node in cluster.nodes:
                code, answer = status(node)
                self.assertEqual(code, 0)
                self.assertEqual(list(answer), ["cluster_id", "nodes", "keyspaces", "partitions", "alerts"])
                self.assertRegex(answer["cluster_id"], "^[0-9a-f]{32}$")
                self.assertEqual([list(one) for one in answer["nodes"]], [NODE_FIELDS] * 3)
                self.assertEqual([one["state"] for one in answer["nodes"]], ["up"] * 3)
                self.assertEqual([one["disk"] for one in answer["nodes"]], ["ok"] * 3)
                self.assertEqual({one["addr"] for one in answer["nodes"]}, {one.name for one in cluster.nodes})
                self.assertIn(("north", "n1"), [(one["site"], one["zone"]) for one in answer["nodes"]])
                self.assertEqual([(one["name"], one["mode"]) for one in answer["keyspaces"]],
                                 [("system", "leader"), ("default", "leader")])
                for partition in answer["partitions"]:
                    self.check_partition(partition)

    def check_partition(self, partition):
        self.assertEqual(list(partition), PARTITION_FIELDS)
        self.assertEqual(sorted(one["role"] for one in partition["replicas"]), ["follower", "follower", "leader"])
        for replica in partition["replicas"]:
            self.assertEqual(list(replica), REPLICA_FIELDS)
            self.assertEqual(replica["state"], "ready")
            self.assertIsInstance(replica["since_ms"], int)
            self.assertLess(abs(time.time() * 1000 - replica["since_ms"]), 60000)
            self.assertIsInstance(replica["applied"], int)
            self.assertIsInstance(replica["lag_entries"], int)
            self.assertEqual((replica["role"] == "leader"), replica["node"] == partition["leader"])

    def test_losing_nodes(self):
        with Cluster(3) as cluster:
            cluster.start()
            wait_until(lambda: sentence(cluster.nodes[0]) == (
                0, "3 of 3 nodes up; every partition has a leader; can lose 1 node"), 10, "healthy")
            victim = cluster.nodes[2]
            witness = cluster.nodes[0]
            witness.call("SET", "a", "1")
            victim.kill()
            wait_until(lambda: "can lose no node" in sentence(witness)[1], 10, "one is gone")
            code, answer = wait_until(lambda: self.down_in(witness, 3), 10, "its replica is down")
            self.assertEqual(code, 3)
            self.assertIn("2 of 3 nodes up", sentence(witness)[1])
            self.assertIn(f"at {victim.name} is down", sentence(witness)[1])
            self.assertEqual(answer["nodes"][2]["state"], "down")
            self.assertIsNone(answer["nodes"][2]["disk"])
            cluster.nodes[1].kill()
            wait_until(lambda: "writes are refused until a majority is back" in sentence(witness)[1], 10, "no majority")
            replica = wait_until(lambda: self.unknown_lag(witness, 2), 10, "what nobody knows is null")
            self.assertIsNone(replica["applied"])
            self.assertIsNone(replica["lag_ms"])
            cluster.start()
            wait_until(lambda: sentence(witness)[0] == 0, 15, "healthy again")

    def down_in(self, node, replica_id):
        code, answer = status(node)
        for replica in default_partition(answer)["replicas"]:
            if replica["id"] == replica_id and replica["state"] == "down" and replica["applied"] is None:
                return code, answer
        return None

    def unknown_lag(self, node, replica_id):
        replicas = default_partition(status(node)[1])["replicas"]
        return next((one for one in replicas if one["id"] == replica_id and one["lag_entries"] is None), None)

    def test_a_node_that_waits_for_others(self):
        with Cluster(3) as cluster:
            alone = cluster.nodes[0]
            alone.start()
            wait_until(lambda: alone.http("/livez") == 200, 10, "it is live")
            code, line = wait_until(lambda: "waiting" in sentence(alone)[1] and sentence(alone), 10, "it waits")
            self.assertEqual(code, 3)
            self.assertIn("not part of a cluster yet: waiting for ", line)
            self.assertEqual(status(alone)[1]["cluster_id"], None)

    def test_one_node(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.assertEqual(sentence(node), (0, "1 of 1 node up; every partition has a leader; can lose no node"))
            self.assertEqual(default_partition(status(node)[1])["replicas"][0]["lag_entries"], 0)

    def test_another_server(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve(answer):
                stranger, _ = server.accept()
                stranger.recv(1000)
                stranger.sendall(answer)
                stranger.close()
            for answer in (b"-ERR unknown command\r\n", b"$2\r\n{}\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*0\r\n", b""):
                thread = threading.Thread(target=serve, args=(answer,))
                thread.start()
                code, out, err = run(HOLDFAST, "-a", "127.0.0.1:%d" % server.getsockname()[1], "status")
                thread.join()
                self.assertEqual((code, out, len(err.splitlines())), (1, "", 1), (answer, err))


# ---- holdfast dev ----

def free_base(count):
    """A base port whose neighbours, and those 1000 and 10000 higher, are free; below the kernel's own choices."""
    for base in range(11000 + os.getpid() % 900 * 10, 21000, 10):
        ports = [base + more + i for more in (0, 1000, 10000) for i in range(count)]
        if all(is_free(port) for port in ports):
            return base
    raise AssertionError("no free ports")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class Dev:
    """A running `holdfast dev`; its lines are read as they come."""

    def __init__(self, *words):
        self.process = subprocess.Popen([HOLDFAST, "dev", *map(str, words)], stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(*self.lines[-40:], sep="\n")
        self.process.kill()
        self.process.wait()
        self.reader.join(10)
        self.process.stdout.close()

    def wait_line(self, pattern, deadline=20):
        def found():
            return next((re.search(pattern, line) for line in self.lines if re.search(pattern, line)), None)
        return wait_until(found, deadline, f"a line like {pattern}")

    def pids(self):
        pids = {}
        for line in list(self.lines):
            if match := re.match(r"node (\d+): pid (\d+) at", line):
                pids[int(match[1])] = int(match[2])
        return pids

    def stop(self, number=signal.SIGTERM):
        pids = self.pids().values()
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert not any(is_alive(pid) for pid in pids), "an orphan"
        return code


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def try_call(port, *words):
    try:
        with Client(("127.0.0.1", port)) as client:
            return client.call(*words)
    except (OSError, ReplyError, NotConnected):
        return None


class DevTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.dir = os.path.join(self.folder, "dev")
        self.base = free_base(3)

    def start(self, *more):
        return Dev("--nodes", 3, "--port", self.base, "--dir", self.dir, *more)

    def test_a_cluster_and_its_data(self):
        with self.start() as dev:
            dev.wait_line(f"^ready: redis-cli -p {self.base}$")
            self.assertEqual(try_call(self.base + 1, "SET", "kept", "yes"), "OK")
            self.assertEqual(dev.stop(), 0)
        self.assertTrue(os.path.exists(os.path.join(self.dir, "node2", "log")))
        with Dev("--dir", self.dir) as dev:  # it remembers how many, and where
            dev.wait_line(f"^ready: redis-cli -p {self.base}$")
            self.assertEqual(try_call(self.base, "GET", "kept"), b"yes")
            self.assertEqual(dev.stop(signal.SIGINT), 0)

    def test_a_killed_node_comes_back(self):
        with self.start() as dev:
            dev.wait_line("^ready: ")
            pids = dev.pids()
            for number in (1, 3):
                os.kill(pids[number], signal.SIGKILL)
                dev.wait_line(f"^node {number} was ended by signal 9 .*; starts again in 200 ms")
                wait_until(lambda number=number: dev.pids()[number] != pids[number], 10, "a new process")
            wait_until(lambda: try_call(self.base + 2, "SET", "a", "1") == "OK", 15, "it serves again")
            self.assertEqual(dev.stop(), 0)

    def test_a_killed_dev_leaves_no_node(self):
        with self.start() as dev:
            dev.wait_line("^ready: ")
            dev.process.kill()
            wait_until(lambda: not any(is_alive(pid) for pid in dev.pids().values()), 5, "the nodes end too")

    def test_what_it_refuses(self):
        with self.start() as dev:
            dev.wait_line("^ready: ")
            self.refused(1, "is in use by another holdfast dev", "--dir", self.dir)
            other = os.path.join(self.folder, "other")
            self.refused(1, f"port {self.base} (node 1, for clients) is in use", "--dir", other, "--port", self.base)
            self.refused(1, f"port {self.base + 2} (node 1, for clients) is in use", "--dir", other, "--port",
                         self.base + 2)
            self.assertEqual(dev.stop(), 0)
        self.refused(2, f"holds a cluster of --nodes 3 --port {self.base}", "--dir", self.dir, "--nodes", 5)
        self.refused(1, "cannot make the directory", "--dir", os.path.join(self.folder, "absent", "deep"))

    def refused(self, code, wanted, *words):
        got, out, err = run(HOLDFAST, "dev", *words)
        self.assertEqual((got, out, len(err.splitlines())), (code, "", 1), err)
        self.assertIn(wanted, err)

    def test_the_live_view(self):
        try:
            pid, terminal = pty.fork()
        except OSError as error:
            self.skipTest(f"this system gives no terminal: {error}")
        if pid == 0:
            die_with_parent()
            os.environ["TERM"] = "vt100"
            os.execv(HOLDFAST, ["holdfast", "dev", "--nodes", "3", "--port", str(self.base), "--dir", self.dir])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        shown = Shown(terminal)
        wait_until(lambda: "ready: redis-cli" in shown.text, 20, "the view says ready")
        os.write(terminal, b"k2")
        wait_until(lambda: "node 2 was ended by signal 9" in shown.text, 10, "the view shows the killed node")
        wait_until(lambda: try_call(self.base + 1, "SET", "a", "1") == "OK", 15, "node 2 is back")
        os.write(terminal, b"q")
        _, result = wait_until(lambda: next((got for got in [os.waitpid(pid, os.WNOHANG)] if got[0]), None), 20, "its end")
        self.assertEqual(os.waitstatus_to_exitcode(result), 0)
        shown.close()
        self.assertIn("stopping 3 nodes", shown.text)
        self.assertIsNone(try_call(self.base, "PING"))


class Shown:
    """What a terminal was sent, without the control sequences."""

    def __init__(self, terminal):
        self.terminal, self.text = terminal, ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        raw = b""
        while True:
            try:
                more = os.read(self.terminal, 65536)
            except OSError:
                return
            if not more:
                return
            raw += more
            self.text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\$<\d+>", "", raw.decode(errors="replace"))

    def close(self):
        self.reader.join(5)
        os.close(self.terminal)


if __name__ == "__main__":
    unittest.main(verbosity=2)
