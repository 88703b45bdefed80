#!/usr/bin/env python3
"""What a node tells its service manager, the hooks that it runs, and that it can be the first process of a container."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from cluster import HOLDFAST, HOLDFASTD, Cluster, Writers, die_with_parent, run, wait_until


class Manager:
    """The other end of NOTIFY_SOCKET: an abstract name."""

    def __init__(self, test):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        name = f"holdfast-test-{os.getpid()}-{id(self)}"
        self.socket.bind("\0" + name)
        self.environment = {"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "1000000"}

    def hear(self):
        self.socket.settimeout(20)
        return self.socket.recv(4096).decode().split("\n")

    def wait_for(self, line):
        """Everything up to the message with that line."""
        heard = []
        while line not in heard:
            heard += self.hear()
        return heard


class Service(unittest.TestCase):
    def test_a_life(self):
        manager = Manager(self)
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.environment = manager.environment
            node.start()
            self.assertIn("STATUS=recovers its log", manager.hear())
            manager.wait_for("READY=1")
            self.assertEqual(node.call("PING"), "PONG")  # it listens by then
            manager.wait_for("STATUS=ready")
            for _ in range(3):
                manager.wait_for("WATCHDOG=1")
            node.signal(signal.SIGTERM)
            self.assertNotIn("READY=1", manager.wait_for("STOPPING=1"))
            self.assertEqual(node.wait_exit(), 0)

    def test_a_cold_cluster_does_not_wait_for_itself(self):
        """SERVICE-1: with READY=1 only at a quorum, machines that start one service after the other would wait for ever."""
        manager = Manager(self)
        with Cluster(3) as cluster:
            alone = cluster.nodes[0]
            alone.environment = manager.environment
            alone.start()
            manager.wait_for("READY=1")
            self.assertEqual(alone.http("/readyz"), 503)
            cluster.start()
            manager.wait_for("STATUS=ready")

    def test_a_stop_says_why(self):
        manager = Manager(self)
        with Cluster(1) as cluster, socket.socket() as taken:
            node = cluster.nodes[0]
            taken.bind((node.host, node.port))
            taken.listen()
            node.environment = manager.environment
            node.start()
            self.assertEqual(node.wait_exit(), 1)
            said = manager.wait_for("STOPPING=1") + manager.hear()
            self.assertTrue(any(line.startswith("STATUS=") and "in use" in line for line in said), said)

    def test_a_name_that_is_no_socket(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.environment = {"NOTIFY_SOCKET": "nonsense"}
            cluster.start()
            self.assertIn("NOTIFY_SOCKET 'nonsense' is neither a path nor @ and a name", node.log())


# ---- hooks ----

def write_hook(cluster, name, body):
    path = os.path.join(cluster.folder, name)
    with open(path, "w", encoding="utf-8") as hook:
        hook.write("#!/bin/sh\n" + body)
    os.chmod(path, 0o755)
    return path


def told(cluster, node):
    """What the hooks of a node were told, oldest first."""
    try:
        with open(os.path.join(cluster.folder, f"told{node.number}"), encoding="utf-8") as lines:
            return [line.split() for line in lines]
    except FileNotFoundError:
        return []


def last_leader(cluster, node):
    lines = [words for words in told(cluster, node) if words[:3] == ["leader-change", "default", "1"]]
    return lines[-1] if lines else [None] * 7


class Hooks(unittest.TestCase):
    def furnish(self, cluster):
        for node in cluster.nodes:
            hook = write_hook(cluster, f"hook{node.number}", f'echo "$@" >>{cluster.folder}/told{node.number}\n')
            node.options = ["--on-leader-change", hook, "--on-state-change", hook]

    def wait_leads(self, cluster, node, leader):
        what = "leader" if node is leader else "follower"
        wait_until(lambda: (last_leader(cluster, node)[3], last_leader(cluster, node)[6]) == (what, leader.name), 10,
                   f"node {node.number} has told that {leader.name} leads: {last_leader(cluster, node)}")

    def test_a_failover_and_a_stop(self):
        with Cluster(3) as cluster:
            self.furnish(cluster)
            cluster.start()
            old = cluster.leader()
            for node in cluster.nodes:
                self.wait_leads(cluster, node, old)
            old.kill()
            leader = cluster.leader()
            for node in cluster.others(old):
                self.wait_leads(cluster, node, leader)
            states = [words[3] for words in told(cluster, leader) if words[:3] == ["state-change", "default", "1"]]
            self.assertEqual(states[-1], "ready")
            self.assertEqual(leader.stop(), 0)
            self.assertEqual(last_leader(cluster, leader)[3], "follower")  # before it has ended

    def test_an_alert(self):
        """ADMIN-5: a node that is killed is told of once, by one of the others, and again when it is back."""
        with Cluster(3) as cluster:
            for node in cluster.nodes:
                node.options = ["--on-alert", write_hook(cluster, f"alert{node.number}",
                                                         f'echo "$@" >>{cluster.folder}/told{node.number}\n')]
            cluster.start()
            cluster.leader()
            asked, lost = cluster.nodes[0], cluster.nodes[2]
            self.assertEqual(run(HOLDFAST, "-a", asked.name, "alerts"), (0, "no alert\n", ""))

            def said(what):
                return [words for node in cluster.nodes for words in told(cluster, node)
                        if words[:4] == ["alert", what, "critical", "node-down"]]

            lost.kill()
            wait_until(lambda: said("raised"), 25, "a hook is told that the node is down")
            code, out, err = run(HOLDFAST, "-a", asked.name, "alerts")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, f"critical node-down [(]raised 20.*[)]: node 3 at {lost.name} cannot be reached from node "
                                  r"\d since 20.*\. To do: start it again")
            self.assertIn("what only these nodes know is missing: 3\n", out)
            answer = json.loads(run(HOLDFAST, "-a", asked.name, "alerts", "--json")[1])
            self.assertEqual([(alert["alert"], alert["node"]) for alert in answer["alerts"]], [("node-down", 3)])
            self.assertIn("1 alert, 1 critical, 0 warning: holdfast alerts lists it", run(HOLDFAST, "-a", asked.name, "status")[1])
            lost.start()
            wait_until(lambda: said("cleared"), 25, "a hook is told that it is over")
            self.assertEqual(said("raised")[0][4:8], ["-", "-", "-", "3"])
            self.assertEqual((len(said("raised")), len(said("cleared"))), (1, 1))

    def test_the_only_node_takes_its_leave(self):
        with Cluster(1) as cluster:
            self.furnish(cluster)
            node = cluster.start().nodes[0]
            self.wait_leads(cluster, node, node)
            node.stop()
            self.assertEqual(last_leader(cluster, node)[3:5] + last_leader(cluster, node)[6:], ["follower", "0", "-"])

    def test_a_hook_that_hangs_stops_nobody(self):
        """HOOK-1: writes go on, and the end does not wait for ever."""
        with Cluster(3) as cluster:
            hook = write_hook(cluster, "hangs", "exec sleep 30\n")
            for node in cluster.nodes:
                node.options = ["--on-leader-change", hook, "--on-state-change", hook]
            cluster.start()
            writers = Writers(cluster.nodes)
            writers.wait_acked(200)
            cluster.leader().kill()
            writers.wait_acked(200)
            writers.stop()
            survivor = next(node for node in cluster.nodes if node.is_running())
            self.assertEqual(survivor.http("/livez"), 200)
            self.assertEqual(survivor.stop(deadline=25), 0)
            self.assertRegex(survivor.log(), r"the hook \S+, run for leader-change of partition \d of \w+, .* killed")

    def test_wrong_programs_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "plain")
            open(plain, "w", encoding="utf-8").close()
            for program in ("virtual-ip.sh", plain, folder, os.path.join(folder, "absent")):
                done = subprocess.run([HOLDFASTD, "--dir", os.path.join(folder, "data"), "--on-leader-change", program],
                                      capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
                self.assertIn("not the whole path of a program that this user may run", done.stderr)
            self.assertEqual(os.listdir(folder), ["plain"])


# ---- the first process of a container ----

def caught(process):
    """The signals that a process has handlers for, as bits."""
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        return int(re.search(r"^SigCgt:\s+([0-9a-f]+)$", status.read(), re.M)[1], 16)


class First(unittest.TestCase):
    WORDS = ["unshare", "--pid", "--fork", "--kill-child=KILL"]

    def setUp(self):
        if not shutil.which("unshare") or subprocess.run(self.WORDS + ["true"], capture_output=True, check=False).returncode:
            self.skipTest("this system gives no process namespace")

    @staticmethod
    def child_of(process):
        def find():
            with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as children:
                return children.read().split()
        return int(wait_until(find, 10, "the node is started")[0])

    def test_it_ends_when_it_is_told_to(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.wrapper = self.WORDS
            cluster.start()
            node.call("SET", "kept", "yes")
            os.kill(self.child_of(node.process.pid), signal.SIGTERM)
            self.assertEqual(node.wait_exit(), 0)
            cluster.start()
            self.assertEqual(node.call("GET", "kept"), b"yes")

    def test_also_before_it_serves(self):
        """The kernel gives the first process no signal that it has no handler for."""
        with tempfile.TemporaryDirectory() as folder:
            slow = os.path.join(folder, "slow.conf")
            os.mkfifo(slow)  # reading it waits for a writer
            process = subprocess.Popen(self.WORDS + [HOLDFASTD, slow], preexec_fn=die_with_parent)
            child = self.child_of(process.pid)
            wait_until(lambda: caught(child) >> (signal.SIGTERM - 1) & 1, 10, "it takes SIGTERM")
            os.kill(child, signal.SIGTERM)
            self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
