#!/usr/bin/env python3
"""A cluster of one grows to three under load: whoever dies on the way, nothing that was acknowledged is lost."""
import json
import shutil
import unittest

from cluster import Cluster, Writers, wait_until


def alone_and_joiners(cluster):
    first = cluster.nodes[0]
    for node in cluster.nodes:
        node.join = None if node is first else first.name
    first.start()
    wait_until(first.is_ready, 20, "the first node is ready")
    return first


def voters(node):
    partitions = json.loads(node.call("STATUS"))["partitions"]
    return {partition["keyspace"]: sum(replica["role"] != "learner" for replica in partition["replicas"])
            for partition in partitions}


class Grow(unittest.TestCase):
    def grown(self, cluster):
        for node in cluster.nodes:
            wait_until(node.is_ready, 30, f"{node.name} is ready")
        self.assertEqual(voters(cluster.nodes[2]), {"system": 3, "default": 3})

    def test_under_load(self):
        with Cluster(3) as cluster:
            first = alone_and_joiners(cluster)
            writers = Writers([first])
            writers.wait_acked(200)
            cluster.nodes[1].start()
            wait_until(cluster.nodes[1].is_ready, 20, "the second is ready")
            self.assertEqual(voters(first), {"system": 1, "default": 1})
            cluster.nodes[2].start()
            self.grown(cluster)
            writers.wait_acked(200)
            writers.stop()
            first.kill()  # two of three have it all
            with cluster.nodes[1].client() as client:
                wait_until(lambda: cluster.find_leader(), 10, "another leads")
                writers.check(client)

    def test_kills_while_it_grows(self):
        with Cluster(3) as cluster:
            first = alone_and_joiners(cluster)
            writers = Writers(cluster.nodes[:1])
            writers.wait_acked(50)
            cluster.nodes[1].start()
            cluster.nodes[2].start()
            for victim in (2, 0, 1, 0, 2, 0):  # a joiner, the leader, at whatever point they are
                wait_until(lambda victim=victim: cluster.nodes[victim].http("/livez") == 200, 10, "the node is live")
                cluster.nodes[victim].kill()
                cluster.nodes[victim].start()
            self.grown(cluster)
            writers.stop()
            with first.client() as client:
                writers.check(client)

    def test_a_wiped_joiner_is_refused(self):
        with Cluster(2) as cluster:
            alone_and_joiners(cluster)
            joiner = cluster.nodes[1]
            joiner.start()
            wait_until(joiner.is_ready, 20, "the joiner is ready")
            joiner.kill()
            shutil.rmtree(joiner.dir)
            joiner.start()
            self.assertNotEqual(joiner.wait_exit(), 0)
            self.assertIn("is already node 2", joiner.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
