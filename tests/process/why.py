#!/usr/bin/env python3
"""WHY names what is stuck, whom it waits for and since when; WHATIF says what would be left. The stuck situations are those that
users of other systems describe: a decommission that says nothing (P23), a replacement that would lose the quorum (P24), a member
that hangs (P25), an old leader that has to find its way back (P26)."""
import json
import re
import signal
import time
import unittest

from cluster import HOLDFAST, Cluster, ReplyError, run, wait_until


def ask(node, *words):
    """The answer of the command line, as JSON and as people see it."""
    code, out, err = run(HOLDFAST, "-a", node.name, *words, "--json")
    assert (code, err) == (0, ""), (words, code, out, err)
    answer = json.loads(out)
    code, text, err = run(HOLDFAST, "-a", node.name, *words)
    assert (code, err) == (0, ""), (words, code, err)
    return answer, text


def why(node, *words):
    return ask(node, "why", *words)[0]


def found(answer, rule, **fields):
    for finding in answer["findings"]:
        if finding["rule"] == rule and all(finding[name] == value for name, value in fields.items()):
            return finding
    return None


def wait_found(asked, words, rule, deadline=15, **fields):
    return wait_until(lambda: found(why(asked, *words), rule, **fields), deadline, f"{words}: {rule} {fields}")


def wait_well(node, *words, deadline=25):
    wait_until(lambda: not why(node, *words)["findings"], deadline, f"{words}: nothing")
    answer, text = ask(node, "why", *words)
    if not answer["findings"]:
        assert re.match(r"nothing: .* since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ( and votes; node \d leads)?$", text), text


def writes(node):
    try:
        return node.call("SET", "a", "1") == "OK"
    except (OSError, ReplyError):
        return False


def create(node, *options):
    code, _, err = run(HOLDFAST, "-a", node.name, "keyspace", "create", "carts", *options)
    assert code == 0, err


class Why(unittest.TestCase):
    def near(self, finding, moment):
        """`since` is the moment at which it happened, as far as heartbeats tell."""
        self.assertIsInstance(finding["since_ms"], int, finding)
        self.assertLess(abs(finding["since_ms"] / 1000 - moment), 3, finding)
        self.assertIn(" since 20", finding["text"])

    def test_a_third_node_is_gone(self):
        with Cluster(3) as cluster:
            cluster.start()
            first, second, third = cluster.nodes
            for words in (("keyspace", "default"), ("node", "3"), ("replica", "1/3"), ("partition", "0")):
                wait_well(first, *words)
            killed = time.time()
            third.kill()
            for node in (first, second):
                finding = wait_found(node, ("keyspace", "default"), "down", node=3, replica=3, partition=1)
                self.near(finding, killed)
                self.assertIn("replica 1/3 of default, on node 3, is down", finding["text"])
                self.assertEqual(why(node, "keyspace", "default")["not_asked"], [3])
                self.near(wait_found(node, ("node", "3"), "unreached", peer=3), killed)
            _, out, _ = run(HOLDFAST, "-a", first.name, "keyspace", "why", "default")
            self.assertIn("on node 3, is down", out)
            _, out, _ = run(HOLDFAST, "-a", first.name, "replica", "why", "1/3")
            self.assertIn("on node 3, is down", out)
            # Another one dies: nobody leads, and both are named.
            second.kill()
            finding = wait_found(first, ("keyspace", "default"), "no-leader")
            self.assertIn("an election needs 2 of its voters, and 1 can be asked", finding["text"])
            for node in (2, 3):
                self.assertIn(f"node {node} at ", wait_found(first, ("keyspace", "default"), "missing", peer=node)["text"])
            # P23: it is not told what nobody knows: this node alone can be asked.
            lose = ("whatif", "lose", "node", "1")
            wait_until(lambda: not ask(first, *lose)[0]["confirmed"], 10, "the leader of system does not answer")
            answer, text = ask(first, *lose)
            self.assertEqual(answer["unseen"], [2, 3])
            default = next(one for one in answer["keyspaces"] if one["keyspace"] == "default")
            self.assertIsNone(default["stop"])
            self.assertIn("nobody here sees whether node", text)
            second.start()
            third.start()
            wait_well(first, "keyspace", "default")

    def test_one_alone_after_a_start(self):
        """Its catalogue is in a log of which nobody can say what is committed: it says for whom it waits all the same."""
        with Cluster(3) as cluster:
            cluster.start()
            first = cluster.nodes[0]
            for node in cluster.nodes:
                node.kill()
            first.start()
            wait_until(lambda: first.http("/livez") == 200, 10, "it is live")
            wait_found(first, ("keyspace", "default"), "no-leader")
            for node in (2, 3):
                wait_found(first, ("keyspace", "default"), "missing", peer=node)

    def test_a_voter_short_under_ack_all(self):
        with Cluster(3) as cluster:
            cluster.start()
            first, _, third = cluster.nodes
            create(first, "--replicas", "3", "--ack", "all")
            wait_well(first, "keyspace", "carts")
            killed = time.time()
            third.kill()
            finding = wait_found(first, ("keyspace", "carts"), "out-of-sync", node=3)
            self.assertIn("is out of the in-sync set since 20", finding["text"])
            self.near(wait_found(first, ("keyspace", "carts"), "down", node=3), killed)
            third.start()
            wait_well(first, "keyspace", "carts")

    def test_read_only(self):
        with Cluster(3) as cluster:
            cluster.start()
            first, _, third = cluster.nodes
            create(first, "--replicas", "3", "--ack", "semisync:2", "--db", "3")
            wait_well(first, "keyspace", "carts")
            third.kill()
            finding = wait_found(first, ("keyspace", "carts"), "short")
            self.assertRegex(finding["text"], r"is read-only since .*: 2 copies can be reached, and a write needs 3")
            wait_found(first, ("keyspace", "carts"), "down", node=3)
            with first.client() as client:
                client.call("SELECT", "3")
                with self.assertRaisesRegex(ReplyError, "NOREPLICAS"):
                    client.call("SET", "a", "1")

    def test_a_growth_that_waits_for_a_node(self):
        """P24: one is dead. What would be left without another is said before, and what a growth waits for while it lasts."""
        with Cluster(3) as cluster:
            cluster.start()
            first = cluster.nodes[0]
            create(first, "--replicas", "2")
            wait_well(first, "keyspace", "carts")
            placement = json.loads(run(HOLDFAST, "-a", first.name, "keyspace", "info", "carts", "--json")[1])["placement"]
            spare = next(node for node in cluster.nodes if node.number not in placement[0]["nodes"])
            there = next(node for node in cluster.nodes if node is not spare)
            killed = time.time()
            spare.kill()
            wait_found(there, ("node", str(spare.number)), "unreached")
            code, _, err = run(HOLDFAST, "-a", there.name, "keyspace", "alter", "carts", "--replicas", "3", "--no-wait")
            self.assertEqual(code, 0, err)
            finding = wait_found(there, ("keyspace", "carts"), "change", peer=spare.number, replica=3)
            self.near(finding, killed)
            self.assertIn(f"changes its members and waits for node {spare.number} at {spare.name}", finding["text"])
            other = next(node for node in cluster.nodes if node not in (spare, there))
            answer, text = ask(there, "whatif", "lose", "node", str(other.number))
            self.assertEqual(answer["down"], [spare.number])
            default = next(one for one in answer["keyspaces"] if one["keyspace"] == "default")
            self.assertEqual((default["stop"], default["lose_commit_quorum"], default["keep_both"]), (1, 1, 0))
            self.assertIn(f"(node {spare.number} is down as it is)", text)
            spare.start()
            wait_well(there, "keyspace", "carts")

    def test_one_that_hangs(self):
        """P25: its process stands still, as with a disk that does not answer; its connections stay."""
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            hung, third = cluster.others(leader)
            stopped = time.time()
            hung.signal(signal.SIGSTOP)
            try:
                finding = wait_found(third, ("partition", "1"), "down", node=hung.number)
                self.near(finding, stopped)
                self.assertEqual(finding["peer"], leader.number)
            finally:
                hung.signal(signal.SIGCONT)
            wait_well(third, "keyspace", "default")

    def test_an_old_leader_comes_back(self):
        """P26: it executed what the others have never seen. It is told as down, and then as nothing."""
        with Cluster(3) as cluster:
            cluster.start()
            old = cluster.leader()
            others = cluster.others(old)
            for node in others:
                node.signal(signal.SIGSTOP)
            with old.client() as client:
                client.send("SET", "b", "only here")
                old.call("PING")  # it has read that
                old.signal(signal.SIGSTOP)
            for node in others:
                node.signal(signal.SIGCONT)
            wait_until(lambda: writes(others[0]), 15, "another one leads")
            wait_found(others[0], ("replica", f"1/{old.number}"), "down")
            old.signal(signal.SIGCONT)
            wait_well(others[0], "replica", f"1/{old.number}")
            self.assertEqual(old.call("GET", "a"), b"1")

    def test_domains(self):
        with Cluster(3) as cluster:
            for node, zone in zip(cluster.nodes, "aab"):
                node.options = ["--zone", zone]
            cluster.start()
            node = cluster.nodes[2]
            answer, text = ask(node, "whatif", "lose", "zone", "a")
            self.assertEqual((answer["lost"], answer["confirmed"]), ([1, 2], True))
            self.assertIn("default: reads and writes stop; too few voters are left for a commit", text)
            answer, text = ask(node, "whatif", "lose", "zone", "b")
            default = next(one for one in answer["keyspaces"] if one["keyspace"] == "default")
            self.assertEqual((default["stop"], default["copies"], default["may_fail"]), (0, 2, 0))
            self.assertEqual((default["ack"], default["read"]), (["quorum", "all"], ["strong"]))
            self.assertIn("default: goes on with 2 copies; ACK quorum, all; READ strong", text)
            code, out, err = run(HOLDFAST, "-a", node.name, "whatif", "lose", "zone", "z")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no node was started with that --zone", err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
