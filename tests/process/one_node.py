#!/usr/bin/env python3
"""A cluster of one: what it acknowledged is there after kill -9; its end, its health pages; bad bytes harm nothing."""
import json
import re
import os
import random
import shutil
import signal
import socket
import unittest

from cluster import HOLDFAST, Client, Cluster, ReplyError, Writers, free_ports, run, wait_until


def send_bytes(address, data):
    """Sends until it is told to go away; answers what came back."""
    got = b""
    with socket.create_connection(address, 5) as stranger:
        stranger.settimeout(2)
        try:
            stranger.sendall(data)
            stranger.shutdown(socket.SHUT_WR)
            while more := stranger.recv(65536):
                got += more
        except OSError:
            pass
    return got


def status(node):
    code, out, err = run(HOLDFAST, "-a", node.name, "status", "--json")
    assert err == "", err
    return code, json.loads(out)


class OneNode(unittest.TestCase):
    def test_acknowledged_writes_survive_kill_and_restart(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            writers = Writers([node])
            for _ in range(5):
                writers.wait_acked(200)
                node.kill()
                node.start()
                cluster.wait_ready()
            writers.wait_acked(100)
            writers.stop()
            with node.client() as client:
                self.assertGreater(writers.check(client), 1000)

    def test_the_judgement_sees_a_loss(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            writers = Writers([node])
            writers.wait_acked(50)
            node.kill()
            shutil.rmtree(node.dir)
            node.start()
            cluster.wait_ready()
            writers.wait_acked(50)
            writers.stop()
            with node.client() as client, self.assertRaisesRegex(AssertionError, "acknowledged writes lost"):
                writers.check(client)

    def test_an_orderly_end(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            for number in (signal.SIGTERM, signal.SIGINT):
                self.assertEqual(node.call("INCR", "ends"), 1 if number == signal.SIGTERM else 2)
                idle = node.client()
                node.signal(number)
                self.assertEqual(node.wait_exit(), 0)
                idle.close()
                cluster.start()
            self.assertEqual(node.call("GET", "ends"), b"2")

    def test_what_is_asked_before_the_end_is_answered(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            with node.client() as client:
                for _ in range(200):
                    client.send("INCR", "counted")
                client.receive()
                node.signal(signal.SIGTERM)
                answered = 1
                try:
                    while answered < 200:
                        answered = client.receive()
                except ConnectionError:
                    pass
            self.assertEqual(node.wait_exit(), 0)
            cluster.start()
            self.assertGreaterEqual(int(node.call("GET", "counted")), answered)

    def test_health_pages(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.assertEqual(node.http("/livez"), 200)
            self.assertEqual(node.http("/readyz"), 200)
            self.assertEqual(node.http("/elsewhere"), 404)

    def test_live_is_not_ready(self):
        with Cluster(3) as cluster:
            alone = cluster.nodes[1]
            alone.start()
            wait_until(lambda: alone.http("/livez") == 200, 10, "it is live")
            self.assertEqual(alone.http("/readyz"), 503)

    def test_random_bytes_on_all_ports(self):
        random_ = random.Random(7)
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            node.call("SET", "kept", "yes")
            with node.client() as other:
                for port in (node.port, node.peer_port, node.http_port):
                    for size in (1, 7, 64, 4096, 200_000):
                        for start in (b"", b"*3\r\n$", b"*1\r\n$4\r\n"):
                            send_bytes((node.host, port), start + random_.randbytes(size))
                            self.assertEqual(other.call("PING"), "PONG")
            self.assertEqual(node.call("GET", "kept"), b"yes")
            self.assertTrue(node.is_running())

    def test_malformed_requests(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            for data in (b"*1\r\n+PING\r\n", b"*99999999999\r\n", b"*2\r\n$-4\r\n", b"*1\r\n$999999999999\r\n",
                         b"*x\r\n", b"*1\r\n$x\r\n", b"GET \"open\r\n"):
                got = send_bytes(node.address, data)
                self.assertTrue(got.startswith(b"-ERR Protocol error"), (data, got))
            self.assertTrue(send_bytes(node.address, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-1\r\n").startswith(b"-ERR"))
            self.assertEqual(send_bytes(node.address, b"\r\n\r\nPING\r\n"), b"+PONG\r\n")
            self.assertEqual(node.call("PING"), "PONG")

    def test_oversized_requests(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.assertIn(b"Protocol error", send_bytes(node.address, b"*2\r\n$%d\r\n" % (600 << 20)))
            self.assertIn(b"Protocol error", send_bytes(node.address, b"A" * (70 << 10)))
            with node.client() as client:
                with self.assertRaises(ReplyError):
                    client.call("NOSUCHCOMMAND", "x" * 1000)
                with self.assertRaises(ReplyError):
                    client.call("GET")
                self.assertEqual(client.call("PING"), "PONG")

    def test_the_longest_value(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.assertEqual(node.call("CONFIG", "GET", "proto-max-bulk-len"), [b"proto-max-bulk-len", b"16777216"])
            self.assertEqual(node.call("SET", "big", b"x" * (16 << 20)), "OK")
            with node.client() as client:
                for call in (("SET", "a", b"x" * ((16 << 20) + 1)), ("SETRANGE", "a", 536870911, "x"),
                             ("SETBIT", "a", 4294967295, 1), ("APPEND", "big", "x"),
                             ("MSET", *(word for i in range(3) for word in (f"k{i}", b"x" * (12 << 20))))):
                    with self.assertRaisesRegex(ReplyError, "proto-max-bulk-len"):
                        client.call(*call)
                self.assertEqual(client.call("EXISTS", "a", "k0"), 0)
            node.stop()
            node.options = ["--proto-max-bulk-len", "32mb"]
            cluster.start()
            self.assertEqual(node.call("STRLEN", "big"), 16 << 20)
            self.assertEqual(node.call("SET", "big", b"x" * (32 << 20)), "OK")
            with node.client() as client, self.assertRaisesRegex(ReplyError, "proto-max-bulk-len"):
                client.call("GET", b"x" * ((32 << 20) + 1))

    def test_at_another_address(self):
        """A cluster of one may move; what it says of itself is where it is now."""
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            node.call("SET", "kept", "yes")
            for host in (node.host, "localhost"):
                node.stop()
                node.host, (node.port, node.peer_port, node.http_port) = host, free_ports(3, host)
                cluster.start()
                code, answer = status(node)
                self.assertEqual((code, [one["addr"] for one in answer["nodes"]]), (0, [node.name]))
                self.assertEqual(node.call("GET", "kept"), b"yes")

    def test_a_port_of_the_kernels_choice(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.host, node.port, node.peer_port = "127.0.0.1", 0, 0
            node.start()
            cluster.wait_ready()
            address = wait_until(lambda: re.search(r"node 1 \((127\.0\.0\.1:\d+)\) leads", node.log()), 10, "its address").group(1)
            self.assertNotEqual(address, "127.0.0.1:0")
            code, out, _ = run(HOLDFAST, "-a", address, "status", "--json")
            self.assertEqual((code, json.loads(out)["nodes"][0]["addr"]), (0, address))

    def test_the_newer_protocol(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            try:
                ports = free_ports(3, "::1")
            except OSError:
                self.skipTest("there is no ::1 here")
            node.host, node.port, node.peer_port, node.http_port = "[::1]", *ports
            node.start()
            wait_until(node.is_ready, 10, "it is ready")
            self.assertEqual(status(node)[1]["nodes"][0]["addr"], node.name)
            with Client(("::1", node.port)) as client:
                self.assertEqual(client.call("PING"), "PONG")

    def test_a_client_that_never_reads(self):
        """Its replies wait in bounded memory; others are served."""
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            node.call("SET", "big", b"x" * (1 << 20))
            with node.client() as greedy, node.client() as other:
                greedy.socket.settimeout(0.2)
                try:
                    for _ in range(20000):
                        greedy.send("GET", "big")
                except OSError:
                    pass  # the server takes no more from it
                self.assertEqual(other.call("PING"), "PONG")
                resident = resident_bytes(node.process.pid)
                self.assertLess(resident, 600 << 20)

    def test_a_request_in_pieces(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            with node.client() as client, node.client() as other:
                for byte in b"*3\r\n$3\r\nSET\r\n$6\r\npieces\r\n$3\r\nyes\r\n":
                    client.socket.sendall(bytes([byte]))
                    self.assertEqual(other.call("PING"), "PONG")
                self.assertEqual(client.receive(), "OK")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    unittest.main(verbosity=2)
