#!/usr/bin/env python3
"""Nodes of several workers: clients on any node find every key, kills lose nothing, and a node answers as one."""
import itertools
import json
import unittest
import urllib.request

from cluster import HOLDFAST, Cluster, NotConnected, ReplyError, Writers, run, wait_until

PARTITIONS = 8  # groups 2 to 9: half of them on each of two workers


def cluster_of(workers, count=3):
    cluster = Cluster(count)
    for node in cluster.nodes:
        node.options = ["--workers", str(workers)]
    return cluster


def make_keyspace(node):
    code, out, err = run(HOLDFAST, "-a", node.name, "keyspace", "create", "many", "--partitions", str(PARTITIONS), "--db", "3")
    assert code == 0, (code, out, err)


def connect(node):
    """A client of keyspace many; a node that is not ready yet counts as not there."""
    client = node.client(timeout=8)
    try:
        client.call("SELECT", "3")
    except (ReplyError, OSError) as error:
        client.close()
        raise NotConnected(str(error)) from None
    return client


def status(node):
    return json.loads(node.call("STATUS"))


def leads(node):
    """Groups that this node leads."""
    view = status(node)
    return {each["id"] for each in view["partitions"] if each["leader"] == view["node"]}


def has_all(node):
    view = status(node)
    return sorted(each["id"] for each in view["partitions"]) == list(range(PARTITIONS + 2))


def numbers(node):
    with urllib.request.urlopen(f"http://{node.host}:{node.http_port}/metrics", timeout=5) as page:
        lines = [line.rsplit(" ", 1) for line in page.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def info(client):
    return dict(line.split(":", 1) for line in client.call("INFO").decode().splitlines() if ":" in line)


def check_all(writers, node):
    with connect(node) as client:
        return writers.check(client)


class Workers(unittest.TestCase):
    def test_kills_lose_nothing(self):
        with cluster_of(2) as cluster:
            cluster.start()
            make_keyspace(cluster.nodes[0])
            writers = Writers(cluster.nodes, 12, connect=connect)
            writers.wait_acked(300)
            for victim in cluster.nodes:
                wait_until(lambda victim=victim: leads(victim), 20, "it leads something")
                victim.kill()
                writers.wait_acked(300)
                victim.start()
                cluster.wait_ready()
            cluster.kill_all()
            cluster.start()
            writers.wait_acked(300)
            victim = cluster.nodes[1]
            self.assertEqual(victim.stop(), 0)
            writers.wait_acked(300)
            victim.start()
            cluster.wait_ready()
            writers.stop()
            for node in cluster.nodes:
                self.assertGreater(check_all(writers, node), 1500)
            self.assertEqual([node.stop() for node in cluster.nodes], [0, 0, 0])

    def test_a_node_answers_as_one(self):
        with cluster_of(2) as cluster:
            cluster.start()
            one = cluster.nodes[0]
            make_keyspace(one)
            with connect(one) as writer:
                for i in range(64):
                    self.assertEqual(writer.call("SET", f"key{i}", i), "OK")
            wait_until(lambda: all(has_all(node) for node in cluster.nodes), 10, "every group is everywhere")
            clients = [connect(one) for _ in range(8)]
            for i, client in enumerate(clients):  # each goes to the worker of its first key
                client.call("CLIENT", "SETNAME", f"c{i}")
                self.assertEqual(client.call("GET", f"key{i}"), b"%d" % i)
            for client in clients:
                self.sees_all(client, one)
            self.assertEqual(sum(node.role() == "master" for node in cluster.nodes), 1)
            leaders = list(itertools.chain.from_iterable(leads(node) for node in cluster.nodes))
            self.assertEqual(sorted(leaders), list(range(PARTITIONS + 2)))
            for client in clients:
                client.close()

    def sees_all(self, client, node):
        lines = client.call("CLIENT", "LIST").decode()
        self.assertEqual([f"name=c{i} " in lines for i in range(8)], [True] * 8)
        facts = info(client)
        self.assertEqual(facts["tcp_port"], str(node.port))
        self.assertGreaterEqual(int(facts["connected_clients"]), 8)
        self.assertEqual((facts["role"], facts["run_id"]), (client.call("ROLE")[0].decode(), info(client)["run_id"]))
        wait_until(lambda: "keys=64," in info(client)["keyspace_many"], 10, "what was written is applied here")
        self.assertIn(f"partitions_here={PARTITIONS}", facts["keyspace_many"])
        self.assertEqual(len(client.call("DEBUG", "DIGEST", "many")), 2 * PARTITIONS)
        page = numbers(node)
        self.assertEqual(page["holdfast_partitions_here"], PARTITIONS + 2)
        self.assertGreaterEqual(page["holdfast_connections"], 8)

    def test_another_number_is_refused(self):
        with cluster_of(3, 1) as cluster:
            node = cluster.start().nodes[0]
            self.assertEqual(node.call("SET", "a", "1"), "OK")
            node.kill()
            for words in ([], ["--workers", "2"], ["--workers", "4"]):
                node.options = words
                node.start()
                self.assertEqual(node.wait_exit(), 1)
                self.assertIn("start it with --workers 3", node.log().splitlines()[-1])
            node.options = ["--workers", "3"]
            cluster.start()
            self.assertEqual(node.call("GET", "a"), b"1")


if __name__ == "__main__":
    unittest.main()
