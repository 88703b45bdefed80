#!/usr/bin/env python3
"""Keyspaces beside `default`: made from the command line, used by a plain client, kept over kill -9, dropped."""
import json
import subprocess
import unittest

from cluster import HOLDFAST, Cluster, ReplyError, run, wait_until


def keyspace(node, *words):
    code, out, err = run(HOLDFAST, "-a", node.name, "keyspace", *words)
    assert code == 0, (words, code, out, err)
    return out


def answers(client, *words):
    """The reply, or None while there is no leader."""
    try:
        return client.call(*words)
    except ReplyError:
        return None


class Keyspaces(unittest.TestCase):
    def test_create_use_and_drop(self):
        with Cluster(3) as cluster:
            cluster.start()
            one, two, three = cluster.nodes
            self.assertEqual(keyspace(one, "create", "carts", "--mode", "leader", "--replicas", "3", "--ack", "quorum",
                                      "--db", "3", "--partitions=2"), "OK\n")
            with two.client() as client, three.client() as other:
                self.assertEqual(client.call("SELECT", "carts"), "OK")
                self.assertEqual(other.call("SELECT", "3"), "OK")
                for i in range(200):
                    self.assertEqual(client.call("SET", f"k{i}", i), "OK")
                for i in range(200):
                    self.assertEqual(other.call("GET", f"k{i}"), b"%d" % i)
                self.assertIsNone(one.call("GET", "k1"))  # nothing of it is in `default`
                self.show(cluster)
                leader = cluster.leader()
                leader.kill()
                leader.start()
                cluster.wait_ready()
            with one.client() as client:
                wait_until(lambda: answers(client, "SELECT", "carts"), 10, "the catalogue is there")
                for i in range(200):
                    value = wait_until(lambda i=i: answers(client, "GET", f"k{i}"), 10, "its partition has a leader")
                    self.assertEqual(value, b"%d" % i)
                self.assertEqual(keyspace(two, "drop", "carts"), "OK\n")
                with self.assertRaisesRegex(ReplyError, "was dropped"):
                    wait_until(lambda: not client.call("GET", "k1"), 10, "the drop is known")

    def test_create_while_the_cluster_forms(self):
        """A script that starts nodes and makes its keyspace need not wait in between."""
        with Cluster(3) as cluster:
            for node in cluster.nodes:
                node.start()
            wait_until(lambda: all(node.role() in ("master", "slave") for node in cluster.nodes), 20, "all have formed")
            self.assertEqual(keyspace(cluster.nodes[0], "create", "early"), "OK\n")

    def test_create_waits_for_leaders(self):
        """What it says OK to serves at once, on every slot."""
        with Cluster(3) as cluster:
            cluster.start()
            one = cluster.nodes[0]
            self.assertEqual(keyspace(one, "create", "many", "--partitions", "50", "--db", "4"), "OK\n")
            text = run(HOLDFAST, "-a", one.name, "status", "--json")[1]
            places = [each for each in json.loads(text)["partitions"] if each["keyspace"] == "many"]
            self.assertEqual((len(places), [each for each in places if not each["leader"]]), (50, []))
            self.assertEqual(keyspace(one, "create", "later", "--partitions", "50", "--no-wait"), "OK\n")

    def test_the_ledger_is_shown(self):
        with Cluster(3) as cluster:
            cluster.start()
            one = cluster.nodes[0]
            self.assertEqual(run(HOLDFAST, "-a", one.name, "loss", "list"), (0, "nothing was lost\n", ""))
            code, out, _ = run(HOLDFAST, "-a", one.name, "loss", "list", "default", "--json")
            self.assertEqual((code, json.loads(out)), (0, []))
            code, out, err = run(HOLDFAST, "-a", one.name, "loss", "show", "nonsense")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("an id is PARTITION-TERM", err)
            code, _, err = run(HOLDFAST, "-a", one.name, "loss", "nonsense")
            self.assertEqual(code, 2)
            self.assertIn("LOSS knows LIST", err)

    def show(self, cluster):
        one = cluster.nodes[0]
        listed = json.loads(keyspace(one, "list", "--json"))
        self.assertEqual([each["name"] for each in listed], ["system", "default", "carts"])
        self.assertEqual((listed[2]["db"], listed[2]["ack"], listed[2]["partitions"]), (3, "quorum", 2))
        self.assertIn("carts", keyspace(one, "list"))
        info = json.loads(keyspace(one, "info", "carts", "--json"))
        self.assertEqual([place["slots"] for place in info["placement"]], ["0-8191", "8192-16383"])
        self.assertEqual(sorted(info["placement"][0]["nodes"]), [1, 2, 3])
        self.assertIn("survives the loss of any 1 of the 3 nodes", keyspace(one, "explain", "carts"))
        code, out, _ = run(HOLDFAST, "-a", one.name, "status", "--json")
        answer = json.loads(out)
        self.assertEqual(code, 0, out)
        self.assertEqual([each["name"] for each in answer["keyspaces"]], ["system", "default", "carts"])
        carts = [each for each in answer["partitions"] if each["keyspace"] == "carts"]
        self.assertEqual([each["slots"] for each in carts], ["0-8191", "8192-16383"])
        self.assertNotEqual(carts[0]["leader"], carts[1]["leader"])
        wanted = b"keyspace_carts:keys=200,expires=0,partitions_here=2,partitions=2"
        wait_until(lambda: wanted in one.call("INFO", "keyspace"), 5, "this node has applied all")

    def test_a_keyspace_of_the_name_of_a_dropped_one(self):
        """The partition that is going is not taken for the one that is made."""
        with Cluster(3) as cluster:
            node = cluster.start().nodes[1]
            for _ in range(6):
                for verb in ("create", "drop"):
                    self.assertEqual(run(HOLDFAST, "-a", node.name, "keyspace", verb, "y")[::2], (0, ""))

    def test_failovers_takes_its_words_in_any_order(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            for words in (("default", "--count", "2"), ("--count", "2", "default"), ("default", "--count=2")):
                self.assertEqual(run(HOLDFAST, "-a", node.name, "failovers", *words)[::2], (0, ""))
            code, _, err = run(HOLDFAST, "-a", node.name, "failovers", "default", "--count")
            self.assertEqual(code, 2)
            self.assertIn("COUNT lacks its value", err)

    def test_refusals_say_what_would_work(self):
        with Cluster(3) as cluster:
            node = cluster.start().nodes[1]
            for words, says in (
                    (("create", "a b"), "a keyspace has a name of"),
                    (("create", "x", "--replicas", "5"), "REPLICAS 3 works"),
                    (("create", "x", "--ack", "async"), "FAILOVER available"),
                    (("create", "default"), "keyspace default exists"),
                    (("drop", "system"), "belongs to every cluster"),
                    (("create", "x", "--prefer", "site=mars"), "or PREFER none"),
                    (("create", "x", "--ack", "semisync:3"), "semisync:2"),
                    (("info", "nobody"), "there is no keyspace 'nobody'")):
                code, out, err = run(HOLDFAST, "-a", node.name, "keyspace", *words)
                self.assertEqual((code, out), (1, ""), words)
                self.assertIn(says, err)

    def test_what_can_be_altered(self):
        """SYNC, SPREAD and PREFER while a client writes; where the copies are, and who leads, follows."""
        with Cluster(5) as cluster:
            for i, node in enumerate(cluster.nodes):
                node.options = ["--site", "north" if i < 2 else "south", "--host", f"h{i // 2}"]
            cluster.start()
            one = cluster.nodes[0]
            keyspace(one, "create", "carts", "--replicas", "3", "--db", "3", "--sync", "os")
            with one.client() as client:
                self.assertEqual(client.call("SELECT", "carts"), "OK")
                for i in range(100):
                    self.assertEqual(client.call("RPUSH", "list", i), i + 1)
                self.assertEqual(keyspace(one, "alter", "carts", "--sync", "always"), "OK\n")
                self.assertEqual(self.told(one)["sync"], "always")
                self.assertEqual(client.call("RPUSH", "list", 100), 101)
                self.assertEqual(keyspace(one, "alter", "carts", "--prefer", "site=south"), "OK\n")
                sites = {each["id"]: each["site"] for each in self.status(one)["nodes"]}
                self.assertEqual(sites[self.told(one)["placement"][0]["nodes"][0]], "south")
                self.assertEqual(keyspace(one, "alter", "carts", "--prefer", "site=north"), "OK\n")
                self.assertEqual(sites[self.told(one)["placement"][0]["nodes"][0]], "north")
                wait_until(lambda: self.leads_in(one, "north"), 30, "it is led in the north")
                self.assertEqual(keyspace(one, "alter", "carts", "--spread", "host", "--prefer", "none"), "OK\n")
                nodes = self.told(one)["placement"][0]["nodes"]
                hosts = {each["id"]: each["addr"] for each in self.status(one)["nodes"]}
                places = [[node.name for node in cluster.nodes].index(hosts[id_]) // 2 for id_ in nodes]
                self.assertEqual(sorted(places), [0, 1, 2])
                self.assertEqual(wait_until(lambda: answers(client, "LLEN", "list"), 10, "it is led"), 101)

    def status(self, node):
        return json.loads(run(HOLDFAST, "-a", node.name, "status", "--json")[1])

    def told(self, node):
        return json.loads(keyspace(node, "info", "carts", "--json"))

    def leads_in(self, node, site):
        view = self.status(node)
        leader = [each["leader"] for each in view["partitions"] if each["keyspace"] == "carts"][0]
        return [each["site"] for each in view["nodes"] if each["id"] == leader] == [site]

    def test_a_change_that_waits_says_for_whom(self):
        with Cluster(3) as cluster:
            one = cluster.start().nodes[0]
            keyspace(one, "create", "carts", "--replicas", "1")
            self.assertIsNone(self.told(one)["placement"][0]["waits_for"])
            own = json.loads(keyspace(one, "info", "default", "--json"))
            self.assertEqual(own["placement"][0]["nodes"], [1, 2, 3])
            home = self.told(one)["placement"][0]["nodes"][0]
            address = {each["id"]: each["addr"] for each in self.status(one)["nodes"]}
            away = next(node for node in cluster.nodes if node.name != address[home])
            away.kill()
            ask = next(node for node in cluster.nodes if node is not away)
            self.assertEqual(keyspace(ask, "alter", "carts", "--replicas", "3", "--no-wait"), "OK\n")
            place = self.told(ask)["placement"][0]
            self.assertEqual(place["state"], "changing")
            self.assertIn(f"at {away.name}", place["waits_for"])
            self.assertIn("to catch up", place["waits_for"])
            self.assertIn("waits for node", keyspace(ask, "info", "carts"))
            away.start()
            wait_until(lambda: self.told(ask)["placement"][0]["state"] == "settled", 20, "it has changed")

    def test_a_partition_says_why_it_is_where_it_is(self):
        with Cluster(3) as cluster:
            for i, node in enumerate(cluster.nodes):
                node.options = ["--zone", "aab"[i], "--weight", str(100 + 50 * i)]
            one = cluster.start().nodes[0]
            explain = lambda *words: run(HOLDFAST, "-a", one.name, "partition", *words)
            code, out, _ = explain("explain", "1")
            self.assertEqual(code, 0)
            self.assertIn("2 zones: one of them must hold 2 of 3 copies, a majority", out)
            self.assertIn("the only copy in zone b", out)
            self.assertIn("plan: nothing would move\n", out)
            for weight in (100, 150, 200):  # what they were started with, by their own report
                wait_until(lambda: f"at weight {weight}," in explain("explain", "1")[1], 10, f"weight {weight} is known")
            self.assertIn("slots 0-16383 of keyspace default", json.loads(explain("explain", "1", "--json")[1]))
            self.assertEqual(explain()[0], 2)
            code, out, err = explain("explain", "77")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("KEYSPACE INFO name shows those of a keyspace", err)

    def test_without_a_majority_it_says_whom_it_waits_for(self):
        with Cluster(3) as cluster:
            cluster.start()
            cluster.wait_ready()
            for node in cluster.nodes[1:]:
                node.kill()
            wait_until(lambda: "reads and writes are refused" in run(HOLDFAST, "-a", cluster.nodes[0].name, "status")[1], 10,
                       "no leader: else the change is under way, with an unknown outcome")
            asked = subprocess.Popen([HOLDFAST, "-a", cluster.nodes[0].name, "keyspace", "create", "carts"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                line = asked.stderr.readline()
                self.assertIsNone(asked.poll(), "it says so while it waits")
                self.assertIn("waiting for a leader of keyspace system; ", line)
                for node in cluster.nodes[1:]:
                    self.assertIn(f"at {node.name}", line)
                cluster.start()
                self.assertEqual(asked.wait(30), 0)
            finally:
                asked.kill()
                asked.wait()
                asked.stderr.close()

    def test_survives_the_death_of_all(self):
        with Cluster(3) as cluster:
            cluster.start()
            keyspace(cluster.nodes[2], "create", "hot", "--db", "5")
            with cluster.nodes[0].client() as client:
                self.assertEqual(client.call("SELECT", "hot"), "OK")
                for i in range(100):
                    self.assertEqual(client.call("SET", f"k{i}", i), "OK")
            cluster.kill_all()
            cluster.start()
            with cluster.nodes[1].client() as client:
                wait_until(lambda: answers(client, "SELECT", "5"), 10, "the catalogue is there")
                self.assertEqual(wait_until(lambda: answers(client, "DBSIZE"), 10, "it has a leader"), 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
