#!/usr/bin/env python3
"""Power cuts of real nodes: killed, and what they had written without a sync is lost or kept, sector by sector.

HOLDFAST_ROUNDS=100 for a hundred cuts."""
import os
import random
import struct
import unittest

from cluster import BUILD, Cluster, NotConnected, ReplyError, Writers, wait_until

FORGET = os.path.join(BUILD, "tests", "process", "libforget.so")
ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "6"))
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
SECTOR = 512
WRITE, SYNC = 1, 2
HEAD = struct.Struct("<IIQQ")


class Power:
    """What each node's disk would lose; see forget.c."""

    def __init__(self, cluster):
        self.random = random.Random(SEED)
        self.boots = 0
        self.put_back = 0  # sectors
        for node in cluster.nodes:
            node.journal = os.path.join(node.folder, "journal")
            node.boot_id = os.path.join(node.folder, "boot-id")
            node.wrapper = ["env", f"LD_PRELOAD={FORGET}", f"HOLDFAST_FORGET={node.journal}",
                            f"HOLDFAST_FORGET_DIR={node.dir}"]
            node.options = node.options + ["--boot-id-file", node.boot_id]
            self.boot(node)

    def boot(self, node):
        self.boots += 1
        with open(node.boot_id, "w", encoding="ascii") as file:
            file.write(f"boot-{self.boots}\n")

    def cut(self, nodes):
        """All at once."""
        for node in nodes:
            node.signal(9)
        for node in nodes:
            node.kill()
            for name, writes in unsynced(node.journal).items():
                if os.path.isfile(name):
                    self.lose(name, writes)
            os.truncate(node.journal, 0)
            self.boot(node)

    def lose(self, name, writes):
        """Each sector as some number of the writes on it left it: undone from the newest one back."""
        sectors = {}
        for offset, old in writes:
            for sector in range(offset // SECTOR, (offset + len(old) + SECTOR - 1) // SECTOR):
                sectors.setdefault(sector, []).append((offset, old))
        with open(name, "r+b") as file:
            for sector, changes in sectors.items():
                kept = self.random.randint(0, len(changes))
                self.put_back += kept < len(changes)
                for offset, old in reversed(changes[kept:]):
                    first = max(offset, sector * SECTOR)
                    last = min(offset + len(old), (sector + 1) * SECTOR)
                    file.seek(first)
                    file.write(old[first - offset:last - offset])


def records(path):
    with open(path, "rb") as file:
        journal = file.read()
    at = 0
    while at + HEAD.size <= len(journal):
        kind, name_size, offset, size = HEAD.unpack_from(journal, at)
        name = journal[at + HEAD.size:at + HEAD.size + name_size].decode()
        end = at + HEAD.size + name_size + (size if kind == WRITE else 0)
        if end > len(journal):
            return  # killed while it was noted: the write itself did not happen
        yield at, kind, name, offset, journal[at + HEAD.size + name_size:end]
        at = end


def unsynced(path):
    """For each file its writes since the last sync that covers them, oldest first: (offset, what was there before)."""
    writes = {}
    for at, kind, name, offset, old in records(path):
        if kind == WRITE:
            writes.setdefault(name, []).append((at, offset, old))
        else:
            writes[name] = [write for write in writes.get(name, []) if write[0] >= offset]
    return {name: [(offset, old) for _, offset, old in left] for name, left in writes.items()}


def answers(client, *words):
    try:
        return client.call(*words)
    except ReplyError:
        return None


class PowerCuts(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        """SYNC always: whoever's power is cut, all of them too."""
        with Cluster(3) as cluster:
            power = Power(cluster)
            cluster.start()
            writers = Writers(cluster.nodes)
            for turn in range(ROUNDS):
                writers.wait_acked(60)
                nodes = cluster.nodes if turn % 2 == 0 else power.random.sample(cluster.nodes, power.random.randint(1, 2))
                power.cut(nodes)
                cluster.start()
            writers.wait_acked(60)
            writers.stop()
            for node in cluster.nodes:
                with node.client() as client:
                    writers.check(client)
            print(f"{ROUNDS} power cuts, {power.put_back} sectors put back, {writers.acked()} acknowledged writes")

    def lax_client(self, node):
        client = node.client(timeout=8)
        try:
            client.call("SELECT", "lax")
        except (ReplyError, OSError) as error:
            client.close()
            raise NotConnected(str(error)) from None
        return client

    def test_one_of_three_with_sync_os(self):
        """R4: who has lost his tail knows it by his boot id, and does not elect anybody without it."""
        with Cluster(3) as cluster:
            power = Power(cluster)
            cluster.start()
            one = cluster.nodes[0]
            with one.client() as client:
                wait_until(lambda: answers(client, "KEYSPACE", "CREATE", "lax", "SYNC", "os"), 10, "the keyspace")
            writers = Writers(cluster.nodes, connect=self.lax_client)
            for turn in range(ROUNDS):
                writers.wait_acked(60)
                power.cut([cluster.nodes[turn % 3]])
                writers.wait_acked(60)
                cluster.start()
            writers.wait_acked(60)
            writers.stop()
            self.assertGreater(power.put_back, 0)
            for node in cluster.nodes:
                with self.lax_client(node) as client:
                    writers.check(client)


if __name__ == "__main__":
    unittest.main()
