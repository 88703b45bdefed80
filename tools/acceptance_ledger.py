#!/usr/bin/env python3
"""The acceptance kit's loss.py on a keyspace that may lose, and what it lost compared with the ledger, write by write.

    HF_BIN=build HOLDFAST_KIT=../shared/acceptance tools/acceptance_ledger.py CONFIG [options of loss.py]

The kit is copied to a scratch folder and runs as it is, but for two moments: its clients SELECT the keyspace only once that is there,
and before its cluster is taken down LOSS LIST and LOSS SHOW are read. Every write that was acknowledged and is missing must be in the
ledger, as acknowledged or possibly, or lie in a record that says that it does not know; and what the ledger calls acknowledged
must be missing. The last line is JSON; exit 0 when both hold, whatever loss.py's own verdict is (it counts any loss)."""
import collections
import json
import os
import shutil
import sys
import tempfile
import time

SETTLED_SECONDS = 30


def pairs(flat):
    """A RESP2 map."""
    return dict(zip(flat[::2], flat[1::2]))


def write_of(command):
    """(kind, key, element) of an effect; an INCRBY has no name of its own."""
    name, words = command[0].upper(), command[1:]
    return (name, words[0], words[1] if name in ("SET", "RPUSH") else "")


class Judge:
    """After the kit's writers have ended: what they miss, and what the ledger has."""

    def __init__(self, cluster, writers):
        self.cluster, self.writers = cluster, writers
        self.front = next(node for node in cluster.nodes if node.alive())
        self.call("SELECT", cluster.cfg["select"])

    def call(self, *words):
        if not hasattr(self, "connection"):
            self.connection = self.front.conn(20)
        return self.connection.cmd(*words)

    def records(self):
        """All of them, once each is settled, or after the time in which it would be."""
        end = time.monotonic() + SETTLED_SECONDS
        while True:
            listed = [pairs(flat) for flat in self.call("LOSS", "LIST", self.cluster.cfg["select"])]
            if all(record["state"] != "unknown" for record in listed) or time.monotonic() > end:
                return listed
            time.sleep(0.2)

    def ledger(self, listed):
        """{(kind, key, element): {judged: how many}}"""
        found = collections.defaultdict(collections.Counter)
        for record in listed:
            shown = pairs(self.call("LOSS", "SHOW", record["id"]))
            for write in map(pairs, shown["writes"]):
                if write["command"]:
                    found[write_of(write["command"])][write["judged"]] += 1
        return found

    def missing(self):
        """{(kind, key, element): how many} acknowledged and not there; and what is there of what was acknowledged."""
        gone, there = collections.Counter(), set()
        prefix = self.cluster.pfx
        for writer in self.writers:
            numbers = sorted(number for number, state in writer.sets.items() if state == "ack")
            values = self.connection.pipe([["GET", f"{prefix}l:{writer.w}:{number}"] for number in numbers]) if numbers else []
            for number, value in zip(numbers, values):
                write = ("SET", f"{prefix}l:{writer.w}:{number}", str(number))
                (there.add(write) if value is not None else gone.update([write]))
            pushed = f"{prefix}ll:{writer.w}"
            elements = set(self.call("LRANGE", pushed, 0, -1) or [])
            for number, state in writer.push.items():
                write = ("RPUSH", pushed, str(number))
                if state == "ack":
                    (there.add(write) if str(number) in elements else gone.update([write]))
            counter = f"{prefix}lc:{writer.w}"
            short = writer.inc["ack"] - int(self.call("GET", counter) or 0)
            if short > 0:
                gone[("INCRBY", counter, "")] += short
        return gone, there

    def judge(self):
        listed = self.records()
        ledger = self.ledger(listed)
        gone, there = self.missing()
        states = collections.Counter(record["state"] for record in listed)
        told = collections.Counter()
        for counts in ledger.values():
            told.update(counts)
        unexplained = {write: count for write, count in gone.items()
                       if count > ledger[write]["acknowledged"] + ledger[write]["possibly"]}
        wrong = [write for write, counts in ledger.items() if counts["acknowledged"] and write in there]
        for write, count in list(unexplained.items())[:10]:
            print("acknowledged, missing, and not in the ledger:", *write, f"({count})", dict(ledger[write]))
        for write in wrong[:10]:
            print("acknowledged says the ledger, and it is there:", *write)
        for record in listed:
            print("record", record["id"], record["state"], record["acknowledged"], record["not_acknowledged"], record["possibly"], "-",
                  record["why"])
        good = not wrong and (not unexplained or states["unknown"])
        return {"test": "ledger", "missing": sum(gone.values()), "ledger_acknowledged": told["acknowledged"],
                "ledger_possibly": told["possibly"], "ledger_not": told["not"], "unexplained": sum(unexplained.values()),
                "acknowledged_and_there": len(wrong), "records": dict(states), "verdict": "PASS" if good else "FAIL"}


class Hooks:
    """The two moments."""

    def __init__(self, cluster_class):
        self.verdict = None
        self.up, self.down, self.wait_writable = cluster_class.up, cluster_class.down, cluster_class.wait_writable
        cluster_class.up = lambda cluster, *rest: self.start(cluster, *rest)
        cluster_class.down = lambda cluster: self.stop(cluster, sys._getframe(1).f_locals.get("ws"))

    def start(self, cluster, *rest):
        keyspace, waits = cluster.cfg.pop("select"), []

        def wait_writable(*words):
            """The second time it waits for the keyspace that it has made."""
            waits.append(None)
            if len(waits) == 2:
                cluster.cfg["select"] = keyspace
            return self.wait_writable(cluster, *words)
        cluster.wait_writable = wait_writable
        self.up(cluster, *rest)
        del cluster.wait_writable

    def stop(self, cluster, writers):
        try:
            if writers:
                self.verdict = Judge(cluster, writers).judge()
        finally:
            self.down(cluster)


def main():
    kit = os.environ.get("HOLDFAST_KIT", "../shared/acceptance")
    scratch = None
    if "HOLDFAST_KIT_COPY" not in os.environ:  # the kit starts this program once more, inside its network
        scratch = tempfile.mkdtemp(prefix="holdfast-kit-")
        os.environ["HOLDFAST_KIT_COPY"] = os.path.join(scratch, "kit")
        os.environ.setdefault("KIT_RUN", os.path.join(scratch, "run"))
        os.environ["HF_BIN"] = os.path.abspath(os.environ.get("HF_BIN", "build"))
        shutil.copytree(kit, os.environ["HOLDFAST_KIT_COPY"])
    copy = os.environ["HOLDFAST_KIT_COPY"]
    sys.argv[1:2] = [os.path.abspath(word) for word in sys.argv[1:2]]
    sys.path.insert(0, os.path.join(copy, "lib"))
    hooks = Hooks(__import__("cluster").Cluster)
    code = 3
    try:
        path = os.path.join(copy, "loss.py")
        with open(path, encoding="utf-8") as source:  # not runpy: the kit starts sys.argv[0] once more, and that is to be this program
            exec(compile(source.read(), path, "exec"), {"__name__": "__main__", "__file__": path})
    except SystemExit as end:
        code = end.code
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    if hooks.verdict:
        print(json.dumps(hooks.verdict))
        code = 0 if hooks.verdict["verdict"] == "PASS" else 1
    return code


if __name__ == "__main__":
    sys.exit(main())
