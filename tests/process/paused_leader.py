#!/usr/bin/env python3
"""A leader that was stopped and goes on does not know what it missed: it must not answer from the past."""
import signal
import time
import unittest

from cluster import Cluster, NotConnected, ReplyError, Writers, wait_until

ACK_AFTER_PAUSE_MAX = 2.0


class Register:
    """A key whose acknowledged versions only rise: a read that was asked for later may not answer less."""

    def __init__(self, nodes):
        self.nodes, self.version, self.acked = nodes, 0, 0

    def write(self, nodes):
        """Writes the next version through one of `nodes`; only an acknowledged one counts."""
        self.version += 1
        for node in nodes:
            try:
                with node.client(timeout=5) as client:
                    client.call("SET", "register", self.version)
                    self.acked = self.version
                    return True
            except (OSError, ReplyError, NotConnected):
                continue
        return False


class PausedLeader(unittest.TestCase):
    def receive_reads(self, client, floors):
        """Replies to reads that were sent earlier; an error is allowed, the past is not."""
        for floor in floors:
            try:
                value = client.receive()
            except ReplyError:
                continue
            self.assertGreaterEqual(int(value or 0), floor, "a stale read")

    def pause_once(self, cluster, register, rewrites):
        """Reads wait inside the paused leader while others write on; then it goes on. Answers the writers on the other nodes and
        how long they were not answered."""
        leader = cluster.leader()
        others = cluster.others(leader)
        writers = Writers(others, count=2, prefix=f"beside{rewrites}-")  # who sits with the paused node just waits for it
        writers.wait_acked(10)
        wait_until(lambda: register.write(cluster.nodes), 10, "a first version")
        with leader.client(timeout=15) as inside:
            inside.call("GET", "register")
            paused = time.monotonic()
            leader.signal(signal.SIGSTOP)
            try:
                inside.send("GET", "register")  # before any of the new versions
                floors = [register.acked]
                for _ in range(rewrites):
                    wait_until(lambda: register.write(others), 15, "a write without the paused leader")
                    inside.send("GET", "register")
                    floors.append(register.acked)
                gap = writers.first_ack_after(paused)
            finally:
                leader.signal(signal.SIGCONT)
            self.receive_reads(inside, floors)
            for _ in range(20):  # and as it finds its way back
                try:
                    self.assertGreaterEqual(int(inside.call("GET", "register")), register.acked, "a stale read")
                except ReplyError:
                    pass
                wait_until(lambda: register.write(cluster.nodes), 15, "a further version")
        wait_until(lambda: leader.role() is not None, 10, "the paused node answers")
        writers.stop()
        return writers, gap

    def test_no_stale_reads_after_a_pause(self):
        with Cluster(3) as cluster:
            cluster.start()
            writers = Writers(cluster.nodes)
            register = Register(cluster.nodes)
            rounds = [self.pause_once(cluster, register, rewrites) for rewrites in (1, 5, 2, 20)]
            writers.wait_acked(100)
            writers.stop()
            for node in cluster.nodes:
                with node.client() as client:
                    self.assertGreaterEqual(int(client.call("GET", "register")), register.acked)
                    for judged in [writers] + [beside for beside, _ in rounds]:
                        judged.check(client)
            print("pause to first acknowledged write:", " ".join(f"{gap:.2f}" for _, gap in rounds), "s")
            self.assertLess(max(gap for _, gap in rounds), ACK_AFTER_PAUSE_MAX)

    def test_all_paused_and_resumed(self):
        """Leases run out during the pause; nobody may be stuck with what it believed before."""
        with Cluster(3) as cluster:
            cluster.start()
            writers = Writers(cluster.nodes)
            for _ in range(2):
                writers.wait_acked(100)
                for node in cluster.nodes:
                    node.signal(signal.SIGSTOP)
                # No answer for 3 s: longer than any lease.
                wait_until(lambda: cluster.nodes[0].http("/livez") == 0, 10, "a paused node does not answer")
                for node in cluster.nodes:
                    node.signal(signal.SIGCONT)
                writers.wait_acked(100)
            writers.stop()
            with cluster.leader().client() as client:
                writers.check(client)

    def test_a_paused_follower_costs_nothing(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            follower = cluster.others(leader)[0]
            writers = Writers([leader])
            writers.wait_acked(100)
            follower.signal(signal.SIGSTOP)
            writers.wait_acked(500)
            self.assertEqual(cluster.leader(), leader)
            follower.signal(signal.SIGCONT)
            writers.wait_acked(100)
            writers.stop()
            with follower.client() as client:
                writers.check(client)


if __name__ == "__main__":
    unittest.main(verbosity=2)
