#!/usr/bin/env python3
"""Who sends no more is still answered, however much it has sent before that."""
import socket
import threading
import unittest

from cluster import Cluster, wait_until

REQUESTS = 100_000  # more than a connection may have under way: its input is paused in between


def ask_and_end(address, request):
    """Sends many, then its end; answers all that came back."""
    got = bytearray()
    with socket.create_connection(address, 5) as client:
        client.settimeout(20)

        def send():
            client.sendall(request * REQUESTS)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        while more := client.recv(65536):
            got += more
        sender.join()
    return bytes(got)


class HalfClosed(unittest.TestCase):
    def test_everything_is_answered(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.assertEqual(ask_and_end(node.address, b"PING\r\n"), b"+PONG\r\n" * REQUESTS)
            expected = b"".join(b":%d\r\n" % i for i in range(1, REQUESTS + 1))
            self.assertEqual(ask_and_end(node.address, b"INCR n\r\n"), expected)

    def test_what_is_held_is_answered(self):
        with Cluster(3) as cluster:
            alone = cluster.nodes[0]
            alone.start()  # the other two are missing: no leader
            wait_until(lambda: alone.http("/livez") == 200, 10, "it is live")
            with socket.create_connection(alone.address, 5) as client:
                client.settimeout(10)
                client.sendall(b"SET a 1\r\nPING\r\n")
                client.shutdown(socket.SHUT_WR)
                got = b""
                while more := client.recv(65536):
                    got += more
            self.assertTrue(got.startswith(b"-TRYAGAIN "), got)
            self.assertTrue(got.endswith(b"+PONG\r\n"), got)


if __name__ == "__main__":
    unittest.main()
