#!/usr/bin/env python3
"""Five nodes in three zones under load. Each in turn is drained, removed, stopped and comes back as a new one; copies are moved and leaders
chosen meanwhile: who writes and retries nothing sees no error. A zone is killed: all `quorum` keyspaces serve again within 2 s."""
import json
import shutil
import time
import unittest

from cluster import HOLDFAST, Writers, run, wait_until
from nodes import Counter, duty, five, holdfast, members


def number_of(asked, node):
    return next(number for number, member in members(asked).items()
                if member["addr"] == node.name and member["duty"] != "removed")


def placement(asked, keyspace):
    return json.loads(holdfast(asked, "keyspace", "info", keyspace, "--json"))["placement"]


def is_settled(asked, keyspace):
    return all(place["state"] == "settled" for place in placement(asked, keyspace))


class Renew(unittest.TestCase):
    def move_and_lead(self, asked):
        """Each partition of carts: a copy to a node without one, and then that node leads."""
        for place in placement(asked, "carts"):
            serving = {number for number, member in members(asked).items() if member["duty"] == "serves"}
            free = sorted(serving - set(place["nodes"]))
            status = json.loads(run(HOLDFAST, "-a", asked.name, "status", "--json")[1])
            replicas = next(one["replicas"] for one in status["partitions"] if one["id"] == place["partition"])
            voter = next(replica for replica in replicas if replica["role"] != "learner")
            holdfast(asked, "replica", "move", f"{place['partition']}/{voter['id']}", "to", free[0])
            wait_until(lambda: is_settled(asked, "carts"), 30, "the copy is moved")
            holdfast(asked, "partition", "transfer", place["partition"], "to", free[0])

    def renew(self, cluster, node):
        other = cluster.others(node)[0]
        number = number_of(other, node)
        holdfast(other, "node", "drain", number)
        wait_until(lambda: duty(other, number) == "drained", 30, f"node {number} is drained")
        holdfast(other, "node", "remove", number)
        return number

    def test_each_node_is_renewed(self):
        with five() as cluster:
            cluster.start()
            holdfast(cluster.nodes[0], "keyspace", "create", "carts", "--replicas", "3", "--partitions", "2")
            counters = {node: Counter(node, f"count{node.number}", "carts") for node in cluster.nodes}
            expected, longest = {}, 0
            for node in cluster.nodes:
                other = cluster.others(node)[0]
                self.move_and_lead(other)
                before = counters[node].count
                number = self.renew(cluster, node)
                wait_until(lambda node=node, before=before: counters[node].count > before + 20 or counters[node].error, 10,
                           "it hands requests on, drained and removed")
                counter = counters[node]
                expected[counter.key] = counter.stop()
                self.assertIsNone(counter.error)
                longest = max(longest, counter.longest)
                self.assertEqual(node.stop(), 0)
                shutil.rmtree(node.dir)
                node.join = other.name
                node.start()
                wait_until(node.is_ready, 20, f"{node.name} is there again")
                self.assertGreater(number_of(other, node), number)
                counters[node] = Counter(node, f"again{node.number}", "carts")
            for counter in counters.values():
                expected[counter.key] = counter.stop()
                self.assertIsNone(counter.error)
                longest = max(longest, counter.longest)
            print(f"{sum(expected.values())} writes, the longest took {longest * 1000:.0f} ms")
            with cluster.nodes[2].client() as client:
                client.call("SELECT", "carts")
                self.assertEqual({key: int(client.call("GET", key)) for key in expected}, expected)

    def test_a_zone_is_killed(self):
        with five() as cluster:
            cluster.start()
            holdfast(cluster.nodes[0], "keyspace", "create", "carts", "--replicas", "3", "--partitions", "4",
                     "--spread", "zone")
            for zone in ((0, 1), (2, 3), (4,)):
                rest = [node for i, node in enumerate(cluster.nodes) if i not in zone]
                writers = Writers(rest, count=8, prefix=f"zone{zone[0]}-", connect=self.client_of_carts)
                writers.wait_acked(200)
                for i in zone:
                    cluster.nodes[i].kill()
                killed = time.monotonic()
                serving = max(writer_serves(writer, killed) for writer in writers.all) - killed
                writers.stop()
                print(f"zone of {len(zone)}: all writers again after {serving:.2f} s")
                self.assertLess(serving, 2)
                with rest[0].client() as client:
                    client.call("SELECT", "carts")
                    writers.check(client)
                for i in zone:
                    cluster.nodes[i].start()
                cluster.wait_ready(30)
                wait_until(lambda: is_settled(cluster.nodes[0], "carts"), 30, "carts is settled")

    @staticmethod
    def client_of_carts(node):
        client = node.client(timeout=8)
        client.call("SELECT", "carts")
        return client


def writer_serves(writer, moment):
    """When the first write that was asked for after `moment` was answered."""
    def first():
        return next((answered for asked, answered in writer.ack_times if asked > moment), None)
    return wait_until(first, 20, f"{writer.key} writes again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
