#!/usr/bin/env python3
"""Members of a running cluster come and go: nodes are drained and called back, copies move, another node leads, and where --extra names a
folder, one more node joins there, gets replicas, is drained, removed and stopped, and joins again as a new one.

    tools/churn.py HOST:PORT ... [--seed N] [--seconds N] [--extra DIR --listen HOST:PORT --bin FOLDER]

For the judges of the acceptance kit, whose faults go on meanwhile: a line in a config's `aux` starts it (docs/testing.md). What is
refused or not answered is tried again later; each step is a line on stdout."""
import argparse
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "process"))
from cluster import Client, NotConnected, ReplyError  # noqa: E402


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Churn:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.addresses = [address(text) for text in options.addresses]
        self.ends = time.monotonic() + options.seconds
        self.extra = None
        self.ended = 0  # extra nodes so far

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def ask(self, *words):
        """None: refused, or nobody answered."""
        for at in self.random.sample(self.addresses, len(self.addresses)):
            try:
                with Client(at, timeout=2) as client:
                    return plain(client.call(*words))
            except ReplyError as error:
                self.say(f"{' '.join(map(str, words))}: {error}")
                return None
            except (OSError, NotConnected):
                continue
        return None

    def members(self):
        found = self.ask("NODE", "LIST") or []
        return [dict(zip(member[::2], member[1::2])) for member in found]

    def partitions(self):
        try:
            return json.loads(self.ask("STATUS") or "{}").get("partitions", [])
        except ValueError:
            return []

    def one_of(self, items):
        """A list of one, or none where there is none."""
        return [self.random.choice(items)] if items else []

    def wait(self, seconds, condition):
        end = min(time.monotonic() + seconds, self.ends)
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.3)
        return False

    def duty(self, number):
        return next((member["duty"] for member in self.members() if member["id"] == number), "")

    def does(self, *words):
        done = self.ask(*words) == "OK"
        if done:
            self.say(" ".join(map(str, words)))
        return done

    # ---- steps ----

    def drain(self):
        serving = [member["id"] for member in self.members() if member["duty"] == "serves"]
        if not serving:
            return
        number = self.random.choice(serving)
        if self.does("NODE", "DRAIN", number):
            self.wait(self.random.uniform(0, 12), lambda: self.duty(number) == "drained")
            self.wait(20, lambda: self.does("NODE", "UNDRAIN", number))

    def lead(self):
        for partition in self.one_of(self.partitions()):
            nodes = [replica["node"] for replica in partition["replicas"]]
            self.does("PARTITION", "TRANSFER", partition["id"], "TO", self.random.choice(nodes))

    def move(self):
        numbers = {member["id"] for member in self.members() if member["duty"] == "serves"}
        for partition in self.one_of(self.partitions()):
            free = sorted(numbers - {replica["node"] for replica in partition["replicas"]})
            replica = self.random.choice(partition["replicas"])
            if free:
                self.does("REPLICA", "MOVE", f"{partition['id']}/{replica['id']}", "TO", self.random.choice(free))

    def join(self):
        options = self.options
        if not options.extra or self.extra:
            return
        host, port = address(options.listen)
        shutil.rmtree(options.extra, ignore_errors=True)
        os.makedirs(options.extra)
        command = [f"{options.bin}/holdfastd", "--dir", options.extra, "--listen", options.listen, "--peer-listen",
                   f"{host}:{port + 1}", "--http-listen", f"{host}:{port + 2}", "--join", ",".join(options.addresses)]
        self.extra = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.say(f"one more node is started at {options.listen}")

    def leave(self):
        if not self.extra:
            return
        mine = [member["id"] for member in self.members()
                if member["addr"] == self.options.listen and member["duty"] != "removed"]
        for number in mine:
            if self.duty(number) == "serves" and not self.does("NODE", "DRAIN", number):
                return
            if not self.wait(30, lambda: self.duty(number) == "drained"):
                self.does("NODE", "UNDRAIN", number)
                return
            if not self.wait(20, lambda: self.does("NODE", "REMOVE", number)):
                return
        if mine:
            self.end()

    def end(self):
        if self.extra:
            self.extra.kill()
            self.extra.wait()
            self.extra, self.ended = None, self.ended + 1
            self.say("that node is stopped")

    def run(self):
        steps = (self.drain, self.drain, self.lead, self.lead, self.move, self.move, self.join, self.leave)
        while time.monotonic() < self.ends:
            self.random.choice(steps)()
            time.sleep(self.random.uniform(0.2, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--extra")
    parser.add_argument("--listen")
    parser.add_argument("--bin", default="build")
    churn = Churn(parser.parse_args())
    try:
        churn.run()
    finally:
        churn.end()


if __name__ == "__main__":
    main()
