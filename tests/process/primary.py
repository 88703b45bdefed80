#!/usr/bin/env python3
"""/primary of real nodes: never 200 at two of them at one time, however leadership moves (HTTP-2); and what else balancers ask.

An answer is made between the moment at which it was asked for and the moment at which it came. So nobody has to wait for the
right instant: any two answers that contradict each other are a find, whenever they were asked for."""
import http.client
import itertools
import json
import os
import signal
import socket
import threading
import time
import unittest

from cluster import Cluster, Writers, wait_until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "6"))
PATIENCE = 0.05  # of one question: a stopped node must not keep the poller from asking again when it goes on
DRIFT = 0.002    # of clocks, twice what nodes allow each other


class Answer:
    def __init__(self, node, asked, got, body):
        row = body["replicas"][0]
        self.node, self.asked, self.got, self.term = node.number, asked, got, row["term"]
        self.lease = row.get("lease_ms", 0) / 1000 * (1 - DRIFT)

    def __str__(self):
        return f"node {self.node} in term {self.term}, asked {self.asked:.4f}, came {self.got:.4f}, lease {self.lease:.3f}"


class Poller(threading.Thread):
    """Asks one node again and again, on a new connection each time."""

    def __init__(self, node, path="/primary"):
        super().__init__(daemon=True)
        self.node, self.path, self.count = node, path, 0
        self.answers = []  # those of 200
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.002):
            asked = time.monotonic()
            try:
                code, body = self.ask()
            except (OSError, ValueError):
                continue
            self.count += 1
            if code == 200:
                self.answers.append(Answer(self.node, asked, time.monotonic(), body))

    def ask(self):
        page = b""
        end = time.monotonic() + PATIENCE
        with socket.create_connection((self.node.host, self.node.http_port), PATIENCE) as link:
            link.sendall(b"GET " + self.path.encode() + b" HTTP/1.0\r\n\r\n")
            while True:
                link.settimeout(max(end - time.monotonic(), 0.001))
                bytes_ = link.recv(65536)
                if not bytes_:
                    break
                page += bytes_
        head, body = page.split(b"\r\n\r\n", 1)
        return int(head.split()[1]), json.loads(body)


class Pollers:
    def __init__(self, nodes):
        self.all = [Poller(node) for node in nodes]
        for poller in self.all:
            poller.start()

    def answers(self):
        return sorted((answer for poller in self.all for answer in list(poller.answers)), key=lambda answer: answer.term)

    def newest(self):
        """The node of the last 200."""
        found = max((poller.answers[-1] for poller in self.all if poller.answers), key=lambda answer: answer.got, default=None)
        return found and found.node

    def wait_more(self, nodes):
        """Each of them answers some more questions."""
        asked = {poller: poller.count + 30 for poller in self.all if poller.node in nodes}
        wait_until(lambda: all(poller.count >= count for poller, count in asked.items()), 10, "answers of the others")

    def stop(self):
        assert all(poller.is_alive() for poller in self.all)
        for poller in self.all:
            poller.ending.set()
        for poller in self.all:
            poller.join(10)
            assert not poller.is_alive()


def judge(answers, keeps_leases):
    """Fails on two answers that cannot both be true. `keeps_leases`: nobody has handed over, so each lease ran to its end."""
    terms = [list(group) for _, group in itertools.groupby(answers, key=lambda answer: answer.term)]
    longest = {}  # of each node, in all lower terms: the answer that proves that it was primary for the longest
    for term in terms:
        first = min(term, key=lambda answer: answer.got)
        assert len({answer.node for answer in term}) == 1, f"two nodes are primary in one term: {term[0]}; {first}"
        for node, other in longest.items():
            assert node == first.node or proven(other, keeps_leases) <= first.got, f"two primaries: {other}; {first}"  # HTTP-2
        best = max(term + [longest[first.node]] if first.node in longest else term,
                   key=lambda answer: proven(answer, keeps_leases))
        longest[first.node] = best
    return len(terms)


def proven(answer, keeps_leases):
    """Until when at least it was primary."""
    return answer.asked + (answer.lease if keeps_leases else 0)


class Primary(unittest.TestCase):
    def move_once(self, cluster, pollers, way):
        number = wait_until(pollers.newest, 10, "a primary")
        leader = cluster.nodes[number - 1]
        if way == "kill":
            leader.kill()
        elif way == "pause":
            leader.signal(signal.SIGSTOP)
        else:
            leader.stop()
        try:
            wait_until(lambda: pollers.newest() != number, 15, f"another primary than node {number} after its {way}")
            pollers.wait_more(cluster.others(leader))  # a question of after that waits in the stopped node, too
        finally:
            if way == "pause":
                leader.signal(signal.SIGCONT)
        if not leader.is_running():
            leader.start()
        cluster.wait_ready(nodes=[leader])

    def run_rounds(self, ways, keeps_leases):
        with Cluster(3) as cluster:
            cluster.start()
            pollers, writers = Pollers(cluster.nodes), Writers(cluster.nodes, count=1)
            for turn in range(ROUNDS):
                self.move_once(cluster, pollers, ways[turn % len(ways)])
            writers.wait_acked(10)
            writers.stop()
            pollers.stop()
            self.assertGreaterEqual(judge(pollers.answers(), keeps_leases), ROUNDS + 1)
            for poller in pollers.all:
                self.assertGreater(poller.count, 20 * ROUNDS)

    def test_killed_and_paused_leaders(self):
        self.run_rounds(("kill", "pause"), keeps_leases=True)

    def test_leaders_that_hand_over(self):
        self.run_rounds(("stop", "pause", "stop"), keeps_leases=False)


class Balancers(unittest.TestCase):
    def ask(self, node, method, path):
        link = http.client.HTTPConnection(node.host, node.http_port, timeout=5)
        try:
            link.request(method, path)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def codes(self, cluster, path):
        return [self.ask(node, "GET", path)[0] for node in cluster.nodes]

    def count(self, cluster, path):
        return self.codes(cluster, path).count(200)

    def test_roles_of_real_nodes(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            follower = cluster.others(leader)[0]
            leader.call("KEYSPACE", "CREATE", "carts", "REPLICAS", "3", "PARTITIONS", "4")
            leader.call("KEYSPACE", "CREATE", "small", "REPLICAS", "1")
            wait_until(lambda: self.codes(cluster, "/read-only?keyspace=carts") == [200] * 3, 10, "carts everywhere")
            for path, good in (("/primary", 1), ("/leader", 1), ("/replica", 2), ("/read-only", 3), ("/health", 3),
                               ("/replica?lag=1MB", 2), ("/replica?lag=1000ms", 2), ("/replica?keyspace=carts", None),
                               ("/health?keyspace=small", 1), ("/primary?keyspace=small", 1), ("/replica?keyspace=small", 0),
                               ("/primary?keyspace=none", 0), ("/primary?lag", 0)):
                if good is not None:
                    wait_until(lambda path=path, good=good: self.count(cluster, path) == good, 10, f"{good} times 200 at {path}")
            for method in ("GET", "HEAD", "OPTIONS"):
                for path in ("/primary", "/replica", "/livez", "/readyz"):
                    code = 503 if path == "/replica" else 200
                    wait_until(lambda: self.ask(leader, method, path)[0] == code, 5, f"{code} at {path}")
                    self.assertEqual(bool(self.ask(leader, method, path)[1]), method == "GET")
            code, body = self.ask(follower, "GET", "/primary?keyspace=carts")
            told = json.loads(body)
            self.assertEqual((told["keyspace"], told["partitions"], told["here"]), ("carts", 4, 4))
            self.assertEqual(len(told["replicas"]), 4)
            self.assertEqual(code, 200 if told["leads"] == 4 else 503)
            for row in told["replicas"]:
                path = f"/primary?partition={row['partition']}"
                wait_until(lambda path=path: self.count(cluster, path) == 1, 10, f"one primary at {path}")

    def test_a_cut_off_replica_says_so(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            last = cluster.others(leader)[0]
            wait_until(lambda: self.ask(last, "GET", "/replica")[0] == 200, 10, "a replica")
            for node in cluster.others(last):
                node.signal(signal.SIGSTOP)
            try:
                wait_until(lambda: self.ask(last, "GET", "/replica")[0] == 503, 10, "no replica without a leader")
                told = json.loads(self.ask(last, "GET", "/replica")[1])
                self.assertIn("was not heard", told["why"])
                wait_until(lambda: json.loads(self.ask(last, "GET", "/replica")[1])["replicas"][0]["lag_ms"] > 2000, 10,
                           "data that grow old")
                self.assertEqual(self.ask(last, "GET", "/health")[0], 200)
                self.assertEqual(self.ask(last, "GET", "/livez")[0], 200)
            finally:
                for node in cluster.others(last):
                    node.signal(signal.SIGCONT)
            cluster.wait_ready()


if __name__ == "__main__":
    unittest.main()
