#!/usr/bin/env python3
"""Clients that count behind ONCE while leaders are killed: every number counts once, and FAILOVERS tells what happened."""
import json
import threading
import unittest

from cluster import HOLDFAST, Client, Cluster, NotConnected, ReplyError, run, wait_until

KILLS = 3
COUNTERS = 3


class Counter(threading.Thread):
    """One client id: each number is asked until it is answered, through whichever node answers."""

    def __init__(self, nodes, name):
        super().__init__(daemon=True)
        self.addresses, self.name = [node.address for node in nodes], name
        self.answers, self.asked, self.ends, self.wrong = [], 0, threading.Event(), None

    def ask(self, number):
        while True:
            self.asked += 1
            try:
                with Client(self.addresses[self.asked % len(self.addresses)], timeout=2) as client:
                    return client.call("ONCE", self.name, number, "INCR", f"counter:{self.name}")
            except ReplyError as error:
                if not str(error).startswith(("TRYAGAIN", "UNKNOWNOUTCOME", "NOREPLICAS")):
                    raise
            except (OSError, NotConnected):
                if self.ends.wait(0.02) and self.asked > 100000:
                    raise

    def run(self):
        try:
            while not self.ends.is_set():
                self.answers.append(self.ask(len(self.answers) + 1))
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = error


class Once(unittest.TestCase):
    def kill_once(self, cluster, counters):
        leader = cluster.leader()
        before = [len(counter.answers) for counter in counters]
        leader.kill()
        wait_until(lambda: all(len(counter.answers) > count + 5 for counter, count in zip(counters, before)), 30,
                   "numbers are answered without the killed leader")
        leader.start()
        wait_until(leader.is_ready, 30, "the killed node is back")

    def test_every_number_counts_once(self):
        with Cluster(3) as cluster:
            cluster.start()
            counters = [Counter(cluster.nodes, f"c{i}") for i in range(COUNTERS)]
            for counter in counters:
                counter.start()
            wait_until(lambda: all(len(counter.answers) > 5 for counter in counters), 20, "the first numbers")
            for _ in range(KILLS):
                self.kill_once(cluster, counters)
            for counter in counters:
                counter.ends.set()
            for counter in counters:
                counter.join(30)
                self.assertIsNone(counter.wrong)
                self.assertEqual(counter.answers, list(range(1, len(counter.answers) + 1)))
            with cluster.nodes[0].client() as client:
                for counter in counters:
                    self.assertEqual(int(client.call("GET", f"counter:{counter.name}")), len(counter.answers))
                    last = len(counter.answers)
                    self.assertEqual(client.call("ONCE", counter.name, last, "INCR", f"counter:{counter.name}"), last)
                    with self.assertRaisesRegex(ReplyError, "^FORGOTTEN"):
                        client.call("ONCE", counter.name, 1, "INCR", f"counter:{counter.name}")
            self.check_failovers(cluster)

    def check_failovers(self, cluster):
        def told():
            code, out, _ = run(HOLDFAST, "-a", cluster.nodes[0].name, "failovers", "--json")
            records = json.loads(out) if code == 0 else []
            records = [record for record in records if record["keyspace"] == "default"]
            return records if len(records) >= KILLS else None
        records = wait_until(told, 20, "a record of each failover")
        for record in records[:KILLS]:
            self.assertNotEqual(record["leader"], 0)
            self.assertIn(record["reason"], ("timeout", "refused link", "hand-over", "asked to run", "silence"))
            self.assertGreaterEqual(record["serving_after_ms"], record["elected_after_ms"])
            self.assertTrue(any(vote["granted"] for vote in record["votes"]))


if __name__ == "__main__":
    unittest.main()
