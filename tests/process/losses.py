#!/usr/bin/env python3
"""FAILOVER available with a leader that is cut off, or killed: the ledger has each acknowledged write that clients miss, and LOSS
REPLAY puts them back."""
import contextlib
import json
import socket
import unittest

from cluster import HOLDFAST, Cluster, NotConnected, ReplyError, run, wait_until
from faults import Network

KEYSPACE = "early"
CLIENTS, BURST = 4, 50
ANSWER_SECONDS = 0.6  # longer than a lease: whoever waits longer waits for a commit that does not come
SETTLED_SECONDS = 15


def pairs(flat):
    """A RESP2 map."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2])}


class Burst:
    """SETs keys of its own at a leader that nobody else hears, until it no longer answers."""

    def __init__(self, clients):
        self.clients, self.acked, self.unsure, self.silent = clients, set(), set(), set()
        self.count = 0

    def send(self):
        """True: all were acknowledged."""
        asked = []
        for client in self.clients:
            for _ in range(BURST):
                self.count += 1
                key = f"cut:{self.count}"
                client.send("SET", key, key)
                asked.append((client, key))
        return all([self.hear(client, key) for client, key in asked])

    def hear(self, client, key):
        try:
            if client in self.silent:
                raise socket.timeout
            client.receive()
            self.acked.add(key)
            return True
        except (socket.timeout, ConnectionError, ReplyError):
            self.silent.add(client)
            self.unsure.add(key)
            return False

    def until_silent(self):
        while self.send():
            pass


class Losses(unittest.TestCase):
    def start(self, network, cluster):
        for i, node in enumerate(cluster.nodes):
            node.wrapper = ["ip", "netns", "exec", network.names[i]]
        cluster.start()
        cluster.nodes[0].call("KEYSPACE", "CREATE", KEYSPACE, "REPLICAS", 3, "ACK", "async", "FAILOVER", "available")
        return wait_until(lambda: self.leader(cluster.nodes), 10, "a leader of the keyspace")

    def leader(self, nodes):
        for node in nodes:
            try:
                status = json.loads(node.call("STATUS"))
            except (OSError, NotConnected, ReplyError):
                continue
            led = [part["leader"] for part in status["partitions"] if part["keyspace"] == KEYSPACE]
            if led and led[0]:
                address = next(member["addr"] for member in status["nodes"] if member["id"] == led[0])
                return next((each for each in nodes if each.name == address), None)
        return None

    def client(self, node):
        client = node.client()
        client.call("SELECT", KEYSPACE)
        return client

    def cut_writes(self, network, cluster, leader):
        """What the leader alone has of writes that it acknowledged; it stays cut off."""
        i = cluster.nodes.index(leader)
        inside = [network.client_inside(i, leader, 8) for _ in range(CLIENTS)]
        for client in inside:
            self.addCleanup(client.close)
            client.call("SELECT", KEYSPACE)
            client.call("SET", "before", 1)
            client.socket.settimeout(ANSWER_SECONDS)
        burst = Burst(inside)
        network.cut(i, "both")
        burst.send()
        self.assertTrue(burst.acked, "the leader's lease was over before it could answer anything")
        return burst

    def ledger(self, node, states):
        """{key: judged} of all records, once all have one of these states."""
        def settled():
            records = [pairs(flat) for flat in node.call("LOSS", "LIST", KEYSPACE)]
            return records if records and all(record["state"] in states for record in records) else None
        records, found = wait_until(settled, SETTLED_SECONDS, f"records of LOSS LIST: {states}"), {}
        for record in records:
            self.assertLessEqual(record["first_index"], record["last_index"])
            shown = pairs(node.call("LOSS", "SHOW", record["id"]))
            self.assertEqual(shown["nodes_not_asked"], 0)
            writes = [pairs(flat) for flat in shown["writes"]]
            self.assertEqual(sum(write["judged"] == b"acknowledged" for write in writes), record["acknowledged"])
            found.update({write["key"].decode(): write["judged"].decode() for write in writes})
        return [record["id"].decode() for record in records], found

    def missing(self, node, keys):
        keys = sorted(keys)
        with self.client(node) as client:
            return {key for key, value in zip(keys, client.call("MGET", *keys)) if value is None}

    def replay(self, node, identities):
        """(replayed, replayed before, skipped) of all."""
        sums = [0, 0, 0]
        for identity in identities:
            code, out, err = run(HOLDFAST, "-a", node.name, "loss", "replay", identity, "--json")
            self.assertEqual((code, err), (0, ""))
            answer = json.loads(out)
            sums = [old + answer[name] for old, name in zip(sums, ("replayed", "replayed_before", "skipped"))]
        return tuple(sums)

    @contextlib.contextmanager
    def cut_off(self):
        """Three nodes, the leader that is cut off, and what it has acknowledged since."""
        with Network(3) as network, Cluster(3, network.hosts, (7000, 7100, 7200)) as cluster:
            leader = self.start(network, cluster)
            yield network, cluster, leader, self.cut_writes(network, cluster, leader)

    def wait_for_another(self, cluster, leader):
        others = cluster.others(leader)
        wait_until(lambda: self.leader(others) not in (None, leader), SETTLED_SECONDS, "another leader")
        return others

    def test_a_leader_that_is_cut_off(self):
        with self.cut_off() as (network, cluster, leader, burst):
            burst.until_silent()
            others = self.wait_for_another(cluster, leader)
            network.heal(cluster.nodes.index(leader))
            cluster.wait_ready()
            identities, listed = self.ledger(others[0], (b"exact",))
            gone = self.missing(others[1], burst.acked)
            named = {key for key, judged in listed.items() if judged == "acknowledged"}
            self.assertTrue(gone)
            self.assertEqual(gone - named, set(), "missing, and not in the ledger")
            self.assertLessEqual(named - gone, burst.unsure, "in the ledger, and not missing")
            self.assertEqual(self.replay(leader, identities), (len(named), 0, 0))
            self.assertEqual(self.replay(others[0], identities), (0, len(named), 0))
            self.assertEqual(self.missing(leader, burst.acked), set())
            self.ledger(leader, (b"replayed",))

    def test_a_leader_that_is_killed(self):
        with self.cut_off() as (network, cluster, leader, burst):
            leader.kill()
            network.heal(cluster.nodes.index(leader))
            others = self.wait_for_another(cluster, leader)
            leader.start()
            cluster.wait_ready()
            identities, listed = self.ledger(others[0], (b"possibly",))
            gone = self.missing(others[1], burst.acked)
            self.assertTrue(gone)
            self.assertEqual({listed.get(key) for key in gone}, {"possibly"})
            self.assertEqual(self.replay(others[1], identities), (len(listed), 0, 0))
            self.assertEqual(self.missing(leader, burst.acked), set())


if __name__ == "__main__":
    unittest.main(verbosity=1)
