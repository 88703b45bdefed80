#!/usr/bin/env python3
"""Nodes are drained, removed and replaced under load: who writes and retries nothing sees no error, and nothing is lost."""
import json
import threading
import time
import unittest

from cluster import HOLDFAST, Cluster, Client, ReplyError, run, wait_until

ZONES = ("a", "a", "b", "b", "c")


def holdfast(node, *words):
    code, out, err = run(HOLDFAST, "-a", node.name, *words, timeout=30)
    assert code == 0, (words, code, out, err)
    return out


def members(node):
    return {member["id"]: member for member in json.loads(holdfast(node, "node", "list", "--json"))}


def duty(node, number):
    return members(node)[number]["duty"]


class Counter(threading.Thread):
    """INCR on one connection, one after the other; an error ends it and is kept."""

    def __init__(self, node, key, space):
        super().__init__(daemon=True)
        self.node, self.key, self.space = node, key, space
        self.count, self.error, self.longest = 0, None, 0.0
        self.ending = threading.Event()
        self.start()

    def run(self):
        try:
            with Client(self.node.address, timeout=10) as client:
                client.call("SELECT", self.space)
                while not self.ending.is_set():
                    begun = time.monotonic()
                    value = client.call("INCR", self.key)
                    self.longest = max(self.longest, time.monotonic() - begun)
                    self.count += 1
                    assert value == self.count, (value, self.count)
        except (OSError, ReplyError, AssertionError) as error:
            self.error = error

    def stop(self):
        self.ending.set()
        self.join()
        return self.count


def five(options=()):
    cluster = Cluster(5)
    for node, zone in zip(cluster.nodes, ZONES):
        node.options = ["--zone", zone, *options]
    return cluster


class Nodes(unittest.TestCase):
    def test_each_node_in_turn(self):
        with five() as cluster:
            cluster.start()
            holdfast(cluster.nodes[0], "keyspace", "create", "carts", "--replicas", "3", "--partitions", "4",
                     "--spread", "zone")
            counters = [Counter(node, f"count{node.number}", "carts") for node in cluster.nodes]
            numbers = {member["addr"]: number for number, member in members(cluster.nodes[0]).items()}
            for node in cluster.nodes[:4]:  # zone c has one node, and SPREAD zone needs three zones
                number, other = numbers[node.name], cluster.others(node)[0]
                holdfast(other, "node", "drain", number)
                wait_until(lambda: duty(other, number) == "drained", 30, f"node {number} is drained")
                holdfast(other, "node", "undrain", number)
                wait_until(lambda: duty(other, number) == "serves", 30, f"node {number} serves")
            code, _, err = run(HOLDFAST, "-a", cluster.nodes[0].name, "node", "drain", numbers[cluster.nodes[4].name])
            self.assertEqual(code, 1)
            self.assertIn("SPREAD zone", err)
            counts = [counter.stop() for counter in counters]
            self.assertEqual([counter.error for counter in counters], [None] * 5)
            print("longest wait of a write:", *(f"{counter.longest * 1000:.0f} ms" for counter in counters))
            with cluster.nodes[2].client() as client:
                client.call("SELECT", "carts")
                self.assertEqual([int(client.call("GET", f"count{i + 1}")) for i in range(5)], counts)

    def test_removed_for_good(self):
        with five() as cluster:
            cluster.start()
            first, last = cluster.nodes[0], cluster.nodes[4]
            number = next(number for number, member in members(first).items() if member["addr"] == last.name)
            code, _, err = run(HOLDFAST, "-a", first.name, "node", "remove", number)
            self.assertEqual(code, 1)
            self.assertIn("NODE DRAIN moves them away", err)
            holdfast(first, "node", "drain", number)
            wait_until(lambda: duty(first, number) == "drained", 30, "it is drained")
            holdfast(first, "node", "remove", number)
            self.assertEqual(last.call("SET", "through", "the removed"), "OK")
            wait_until(lambda: last.http("/readyz") == 503, 10, "it says that it was removed")
            self.assertEqual(last.http("/livez"), 200)
            self.assertEqual(last.stop(), 0)
            last.start()
            self.assertNotEqual(last.wait_exit(), 0)
            self.assertIn("was removed from cluster", last.log())
            self.assertEqual(first.call("GET", "through"), b"the removed")

    def test_who_stays_away_is_replaced(self):
        with five(("--replace-after", "3")) as cluster:
            cluster.start()
            first = cluster.nodes[0]
            holdfast(first, "keyspace", "create", "carts", "--replicas", "3", "--partitions", "4")
            with first.client() as client:
                client.call("SELECT", "carts")
                for i in range(500):
                    client.call("SET", f"k{i}", i)
                number = next(number for number, member in members(first).items()
                              if member["addr"] == cluster.nodes[3].name)
                cluster.nodes[3].kill()
                wait_until(lambda: duty(first, number) == "away", 20, "it is given up")
                wait_until(lambda: all(number not in place["nodes"] and place["state"] == "settled" for place in
                                       json.loads(holdfast(first, "keyspace", "info", "carts", "--json"))["placement"]),
                           30, "its copies are elsewhere")
                self.assertEqual([int(client.call("GET", f"k{i}")) for i in range(500)], list(range(500)))
            cluster.nodes[3].start()
            wait_until(lambda: duty(first, number) == "serves", 20, "it is back")


if __name__ == "__main__":
    unittest.main(verbosity=2)
