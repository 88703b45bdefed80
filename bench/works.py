"""What is compared: a contract on one node or three, the rows of load on it, and what is to be reached.

A figure is a ratio, because only ratios travel between machines: to the floor's cpu/M of the same run where there is a floor, else to
redis's. They are DESIGN's figures divided by the floors and by the redis of the machine that DESIGN was written on; the rows that were
there before (`one`, `three`) keep the ratios that docs/status.md follows."""
from dataclasses import dataclass, field

UNPIPELINED = [("SET", 50, 1)]
WRITES = [("SET", 50, 1), ("SET", 200, 1), ("SET", 50, 16)]
READS = [("GET", 50, 1), ("GET", 200, 1), ("GET", 50, 16)]
# Estimates that were corrected once: docs/bench/ten-partitions.md.
SPREAD = {("SET", 50, 1): 2.1, ("SET", 200, 1): 2.0, ("SET", 50, 16): 2.7}
PLAIN = {("SET", 50, 1): 1.3, ("SET", 200, 1): 1.3, ("SET", 50, 16): 1.75}


@dataclass
class Work:
    name: str
    title: str
    nodes: int
    rows: list
    contract: list = field(default_factory=list)  # options of KEYSPACE CREATE; none: keyspace default as it is
    floor: str = "synced"  # what the floor's log does; "" : it has nothing to compare
    fsync: str = "always"  # redis: appendfsync
    copies: int = 0  # redis: SET is followed by WAIT of so many
    peers: tuple = ("redis",)  # who has the like of it
    anywhere: bool = False  # clients on all nodes in turn, not on the leader's
    of_floor: dict = field(default_factory=dict)  # row -> most
    of_redis: dict = field(default_factory=dict)
    workers: int = 1  # of each node
    family: str = ""  # works that make one table: --works takes its name, too


SCALED = [("SET", 50, 1), ("SET", 50, 16), ("GET", 50, 1), ("GET", 50, 16)]


def scaled(workers):
    """How workers scale: the same load and partitions, on one node; each worker has a log of its own."""
    return Work(f"workers-{workers}", f"one node, 16 partitions, log synced each second, {workers} worker{'s' * (workers > 1)}", 1, SCALED,
                ["REPLICAS", "1", "PARTITIONS", "16", "SYNC", "interval:1000"], "", peers=(), workers=workers, family="workers")


ALL = [
    Work("second", "one node, log synced each second", 1, [("SET", 50, 1), ("SET", 50, 16)],
         ["REPLICAS", "1", "SYNC", "interval:1000"], "written", "everysec",
         of_floor={("SET", 50, 1): 1.25, ("SET", 50, 16): 1.54}, of_redis={("SET", 50, 1): 0.9, ("SET", 50, 16): 0.46}),
    Work("one", "one node, every write synced", 1, WRITES + READS, peers=("redis", "etcd"), of_floor=PLAIN),
    Work("async", "three nodes, answered before they copy", 3, [("SET", 50, 1), ("SET", 50, 16)],
         ["REPLICAS", "3", "ACK", "async", "FAILOVER", "available", "SYNC", "interval:1000"], "early", "everysec",
         of_floor={("SET", 50, 1): 1.2}, of_redis={("SET", 50, 16): 0.5}),
    Work("semisync", "three nodes, two have it, nothing is synced", 3, UNPIPELINED,
         ["REPLICAS", "3", "ACK", "semisync:1", "SYNC", "os"], "written", "no", 1, of_redis={("SET", 50, 1): 0.63}),
    Work("three", "three nodes, every write synced on a quorum", 3, WRITES + READS, copies=1, peers=("redis", "etcd"), of_floor=PLAIN),
    Work("ten", "three nodes, 10 partitions, every write synced on a quorum, clients on any node", 3, WRITES,
         ["REPLICAS", "3", "PARTITIONS", "10"], peers=(), anywhere=True, of_floor=SPREAD),
    scaled(1),
    scaled(2),
    scaled(4),
]
