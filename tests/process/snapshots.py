#!/usr/bin/env python3
"""Snapshots of real nodes under load: killed while one is written, damaged, sent to who was away; the log stays small.

HOLDFAST_ROUNDS=50 for fifty kills."""
import os
import threading
import time
import unittest

from cluster import Cluster, NotConnected, ReplyError, Writers, wait_until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "6"))
DUE = 1 << 20        # bytes of log after which a snapshot is due: the least that the option takes
BLOB = 16 << 10
KEYS = 200           # 3 MB: more than one chunk, so that a snapshot takes a while
AT_ONCE = 8          # requests under way
WRITTEN = 128 << 20  # while the disk is watched,
DISK_MAX = 64 << 20  # which has three snapshots, and what is written while two of them are: 35 MB were seen
DEFAULT = "0000000000000001-"  # the group of the keyspace `default`, in the names of files


class Blobs(threading.Thread):
    """Overwrites large values, round after round, and remembers the newest acknowledged round of each key."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.acked = [-1] * KEYS
        self.bytes = 0  # acknowledged
        self.ending = threading.Event()
        self.noise = os.urandom(BLOB + KEYS)  # does not pack
        self.start()

    def run(self):
        number = 0
        while not self.ending.is_set():
            try:
                with self.nodes[number % len(self.nodes)].client(timeout=8) as client:
                    while not self.ending.is_set():
                        number += AT_ONCE
                        self.write(client, range(number, number + AT_ONCE))
            except (NotConnected, OSError):
                number += 1
                self.ending.wait(0.01)  # nobody is there: not in a busy loop

    def write(self, client, numbers):
        for number in numbers:
            key = number % KEYS
            client.send("SET", f"blob{key}", b"%d " % number + self.noise[key:key + BLOB])
        for number in numbers:
            try:
                client.receive()
                self.acked[number % KEYS] = number
                self.bytes += BLOB
            except ReplyError:
                pass  # whether it is there or not: nothing was promised

    def wait_bytes(self, more, deadline=30):
        goal = self.bytes + more
        wait_until(lambda: self.bytes >= goal, deadline, f"{more} more bytes acknowledged")

    def stop(self):
        self.ending.set()
        self.join(20)
        assert not self.is_alive(), "a writer is stuck"

    def check(self, client):
        for key, acked in enumerate(self.acked):
            if acked < 0:
                continue
            value = client.call("GET", f"blob{key}")
            number, noise = value.split(b" ", 1)
            assert int(number) >= acked, f"blob{key}: {int(number)} is there, {acked} was acknowledged"
            assert int(number) % KEYS == key and noise == self.noise[key:key + BLOB], f"blob{key} has another value"


def files_of(node, end):
    """Of the group of `default`, oldest first."""
    try:
        names = os.listdir(os.path.join(node.dir, "snapshots"))
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.startswith(DEFAULT) and name.endswith(end))


def bytes_on_disk(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # it has got another name, or went
    return total


def damage(node, name):
    path = os.path.join(node.dir, "snapshots", name)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def digest(node):
    try:
        return node.call("DEBUG", "DIGEST")
    except (OSError, ReplyError, NotConnected):
        return None


class Snapshots(unittest.TestCase):
    def cluster(self, count):
        cluster = Cluster(count)
        for node in cluster.nodes:
            node.options = ["--snapshot-log-bytes", "1mb"]
        return cluster

    def judge(self, cluster, writers, blobs):
        writers.stop()
        blobs.stop()
        cluster.wait_ready()
        for node in cluster.nodes:
            with node.client() as client:
                writers.check(client)
                blobs.check(client)
        wait_until(lambda: len({digest(node) for node in cluster.nodes} | {None}) == 2, 20, "equal digests")

    def test_kills_while_one_is_written(self):
        with self.cluster(3) as cluster:
            cluster.start()
            writers, blobs = Writers(cluster.nodes), Blobs(cluster.nodes)
            drafts = 0
            for turn in range(ROUNDS):
                victim = cluster.nodes[turn % 3]
                wait_until(lambda victim=victim: files_of(victim, ".tmp"), 30, "a snapshot is under way")
                victim.kill()
                drafts += len(files_of(victim, ".tmp"))
                victim.start()
                cluster.wait_ready()
            self.judge(cluster, writers, blobs)
            self.assertGreater(drafts, 0, "no kill came while one was written")
            print(f"{ROUNDS} kills left {drafts} drafts; {blobs.bytes >> 20} MB and {writers.acked()} acknowledged writes")

    def two_snapshots(self, node, blobs):
        """Two new ones since now."""
        newest = (files_of(node, ".snap") or [""])[-1]
        wait_until(lambda: len([name for name in files_of(node, ".snap") if name > newest]) == 2, 30, "two snapshots")
        blobs.wait_bytes(DUE // 2)

    def test_damage(self):
        with self.cluster(1) as cluster:
            node = cluster.start().nodes[0]
            writers, blobs = Writers([node]), Blobs([node])
            self.two_snapshots(node, blobs)
            node.kill()
            older, newest = files_of(node, ".snap")
            damage(node, newest)
            cluster.start()  # from the older one
            self.assertIn(newest, node.log())
            self.assertIn("it is not used", node.log())
            self.assertNotIn(older, node.log())
            with node.client() as client:
                blobs.check(client)
            self.two_snapshots(node, blobs)
            node.kill()
            writers.stop()
            blobs.stop()
            for name in files_of(node, ".snap"):
                damage(node, name)
            node.start()
            self.assertNotEqual(node.wait_exit(), 0)
            line = node.log().splitlines()[-1]
            self.assertIn("begins behind every snapshot of group 1 that holds", line)
            self.assertTrue(any(f"({name}: " in line for name in files_of(node, ".snap")), line)
            self.assertIn("put an unharmed copy back", line)

    def test_who_was_away_gets_one(self):
        with self.cluster(3) as cluster:
            cluster.start()
            writers, blobs = Writers(cluster.nodes), Blobs(cluster.nodes)
            away = cluster.others(cluster.leader())[0]
            away.kill()
            blobs.wait_bytes(24 * DUE)
            # 24 times DUE were written, and more every moment: without letting go the log would only grow.
            wait_until(lambda: bytes_on_disk(os.path.join(cluster.leader().dir, "wal")) < 20 * DUE, 20,
                       "the log lets go of what the one who is away lacks")
            away.start()  # under load
            cluster.wait_ready(40, [away])
            writers.wait_acked(50)
            self.judge(cluster, writers, blobs)

    def test_the_disk_is_bounded(self):
        with self.cluster(1) as cluster:
            node = cluster.start().nodes[0]
            writers, blobs = Writers([node], count=1), Blobs([node])
            most = 0
            end = time.monotonic() + 40
            while blobs.bytes < WRITTEN:
                self.assertLess(time.monotonic(), end, f"only {blobs.bytes >> 20} MB were written")
                blobs.wait_bytes(DUE // 2)
                most = max(most, bytes_on_disk(node.dir))
            self.judge(cluster, writers, blobs)
            print(f"{blobs.bytes >> 20} MB written, at most {most >> 20} MB on the disk")
            self.assertLess(most, DISK_MAX)


if __name__ == "__main__":
    unittest.main(verbosity=2)
