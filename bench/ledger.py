"""The second part of make failover: a keyspace with ACK async and FAILOVER available, whose leader is cut off from the other nodes while
clients still reach it. Writes that it has acknowledged are cut then. The loss ledger must name exactly those that clients miss: no
more, no fewer. Fails when it does not, or when no write was lost, for then nothing was tried."""
import argparse
import json
import os
import sys
import threading
import time

import network
import resp
from nodes import Cluster, Node
from processes import NotReady, Workplace, end_on_signal, wait_until

KEYSPACE, DATABASE = "early", 1
WRITERS = 6
ANSWER_SECONDS = 6.0  # longer than the time after which a leader says that it does not know
CUT_SECONDS, CALM_SECONDS = 2.0, 0.7
SETTLED_SECONDS = 60


class EarlyWriter(threading.Thread):
    """SETs unique keys through the leader, as long as it answers; then through the next node."""
    def __init__(self, number, addresses):
        super().__init__(daemon=True)
        self.number, self.addresses, self.at = number, addresses, 0
        self.leaving = threading.Event()
        self.acked, self.unsure, self.refused = set(), set(), set()

    def run(self):
        sequence = 0
        while not self.leaving.is_set():
            try:
                with resp.Connection(self.addresses[self.at], ANSWER_SECONDS) as connection:
                    connection.call("SELECT", DATABASE)
                    while not self.leaving.is_set():
                        sequence += 1
                        self.write(connection, f"e{self.number}:{sequence}")
            except resp.ReplyError:
                pass  # and elsewhere once more
            except OSError:
                pass
            self.at = (self.at + 1) % len(self.addresses)
            self.leaving.wait(0.01)

    def write(self, connection, key):
        self.unsure.add(key)
        try:
            connection.call("SET", key, key)
        except resp.ReplyError as error:
            if str(error).split()[0] in ("TRYAGAIN", "NOREPLICAS"):
                self.refused.add(key)
                self.unsure.discard(key)
            raise
        self.acked.add(key)
        self.unsure.discard(key)


def pairs(flat):
    """A RESP2 map."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2])}


class Ledger:
    def __init__(self, build, folder, net):
        self.net, self.writers = net, []
        self.cluster = Cluster([Node(build, os.path.join(folder, f"node{number}"), host, net.wrapper(number))
                                for number, host in enumerate(net.hosts)])

    def start(self):
        for number, node in enumerate(self.cluster.nodes):
            node.choose_ports(self.net.ports(number))
        self.cluster.start_chosen()
        self.cluster.create(KEYSPACE, ["REPLICAS", "3", "ACK", "async", "FAILOVER", "available", "DB", str(DATABASE)])

    def write_on(self, leader):
        """Everybody begins at the leader: what is cut is what it alone has."""
        self.stop_writers()
        addresses = [leader.address, *(node.address for node in self.cluster.nodes if node is not leader)]
        more = [EarlyWriter(len(self.writers) + number, addresses) for number in range(WRITERS)]
        self.writers += more
        for writer in more:
            writer.start()

    def stop_writers(self):
        for writer in self.writers:
            writer.leaving.set()
        for writer in self.writers:
            if writer.ident:
                writer.join(2 * ANSWER_SECONDS)

    def strike(self):
        leader = self.cluster.leader(KEYSPACE)
        self.write_on(leader)
        time.sleep(CALM_SECONDS)  # load, not a condition
        number = self.cluster.nodes.index(leader)
        self.net.cut(number, False)
        try:
            time.sleep(CUT_SECONDS)
        finally:
            self.net.heal(number)
        wait_until(leader.is_ready, SETTLED_SECONDS, f"{leader.name} is ready again")
        self.cluster.leader(KEYSPACE)

    # ---- the judgement ----

    def losses(self):
        return [pairs(flat) for flat in self.cluster.nodes[0].call("LOSS", "LIST", KEYSPACE)]

    def ledger(self):
        """{key: what the ledger says of it}, once every record is exact."""
        def exact():
            listed = self.losses()
            return listed if all(loss["state"] == b"exact" for loss in listed) else None
        wait_until(lambda: exact() is not None, SETTLED_SECONDS, "every record of the ledger is exact")
        found = {}
        for loss in exact():
            shown = pairs(self.cluster.nodes[0].call("LOSS", "SHOW", loss["id"]))
            if shown["nodes_not_asked"]:
                raise NotReady("LOSS SHOW could not ask every node")
            writes = [pairs(flat) for flat in shown["writes"]]
            acknowledged = sum(write["judged"] == b"acknowledged" for write in writes)
            if acknowledged != loss["acknowledged"]:
                raise NotReady(f"LOSS LIST counts {loss['acknowledged']} of {loss['id']}, LOSS SHOW {acknowledged}")
            found.update({write["key"].decode(): write["judged"].decode() for write in writes})
        return found

    def missing(self):
        """Acknowledged, and not there."""
        keys, gone = sorted(key for writer in self.writers for key in writer.acked), set()
        with resp.Connection(self.cluster.nodes[-1].address, 30) as connection:
            connection.call("SELECT", DATABASE)
            for start in range(0, len(keys), 500):
                part = keys[start:start + 500]
                gone |= {key for key, value in zip(part, connection.call("MGET", *part)) if value is None}
        return len(keys), gone

    def judge(self):
        """Lines of what is wrong, and the figures."""
        self.stop_writers()
        self.cluster.wait_equal(SETTLED_SECONDS, KEYSPACE)
        listed = self.ledger()
        total, gone = self.missing()
        named = {key for key, judged in listed.items() if judged == "acknowledged"}
        unsure = {key for writer in self.writers for key in writer.unsure}
        wrong = [f"{key}: acknowledged and missing, and the ledger says '{listed.get(key, 'nothing')}'" for key in sorted(gone - named)]
        wrong += [f"{key}: the ledger says acknowledged, and it is not missing" for key in sorted(named - gone - unsure)]
        if not gone:
            wrong.append("no acknowledged write was cut: nothing was tried")
        return wrong, {"acknowledged": total, "missing": len(gone), "in_ledger": len(named), "not_heard": len(named & unsure - gone),
                       "cut_unacknowledged": len(listed) - len(named)}

    def stop(self):
        self.stop_writers()
        self.cluster.stop()


def run(options, folder, net):
    ledger = Ledger(options.build, folder, net)
    try:
        ledger.start()
        try:
            ledger.losses()
        except resp.ReplyError as error:
            raise NotReady(f"there is no ledger: {error}") from None
        for _ in range(options.times):
            ledger.strike()
        wrong, figures = ledger.judge()
    finally:
        ledger.stop()
    print(f"async, FAILOVER available, the leader cut off {options.times} times: {figures['acknowledged']} acknowledged writes, "
          f"{figures['missing']} of them cut, {figures['in_ledger']} in the ledger; {figures['cut_unacknowledged']} cut that were not acknowledged")
    for line in wrong[:10]:
        print(line)
    with open(os.path.join(options.build, "ledger.json"), "w", encoding="utf-8") as file:
        json.dump({**figures, "times": options.times, "wrong": wrong}, file, indent=1)
    return not wrong


def main():
    parser = argparse.ArgumentParser(prog="bench/ledger.py", description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    unable = network.enter()
    if unable:
        print(f"the ledger is not tried: {unable}")
        return 0
    end_on_signal()
    with Workplace(options.build, "ledger") as folder:
        net = network.Namespaces(folder)
        try:
            net.start()
            return 0 if run(options, folder, net) else 1
        except NotReady as trouble:
            print(f"ledger: {trouble}")
            return 1
        finally:
            net.stop()


sys.exit(main())
