"""Clients that write all the time, go to another node when theirs fails them, and know what was acknowledged to them."""
import random
import threading
import time

import resp

ANSWER_SECONDS = 1.5  # longer than a node holds a request through an election
THINK_SECONDS = 0.004
ARRIVAL_SECONDS = 0.04
COUNT_EACH = 4  # of so many writes one is an INCR


class Clock:
    """When the last fault was, and the acknowledgements of writes that were sent after it."""
    def __init__(self):
        self.lock = threading.Lock()
        self.fault_at = self.counted_from = float("inf")
        self.first_ack, self.heard = None, {}

    def start(self, fault_at):
        """`fault_at` may lie a little back: the fault is complete only now, and writes count that are sent from now on."""
        with self.lock:
            self.fault_at, self.counted_from, self.first_ack, self.heard = fault_at, time.monotonic(), None, {}

    def acknowledged(self, sent_at, client=None):
        now = time.monotonic()
        with self.lock:
            if sent_at > self.counted_from:
                self.first_ack = self.first_ack or now
                self.heard.setdefault(client, now)

    def gap(self):
        with self.lock:
            return None if self.first_ack is None else self.first_ack - self.fault_at

    def gap_of_all(self, clients):
        """Until the last of these had an acknowledgement; None while one waits."""
        with self.lock:
            if not all(client in self.heard for client in clients):
                return None
            return max(self.heard[client] for client in clients) - self.fault_at


class Writer(threading.Thread):
    """SETs unique keys and INCRs a counter of its own."""
    def __init__(self, number, addresses, clock):
        super().__init__(daemon=True)
        self.number, self.addresses, self.clock = number, addresses, clock
        self.at = number % len(addresses)
        self.connection = None
        self.leaving = threading.Event()
        self.next = 0
        self.acked_keys = []
        self.counted = self.unsure = 0  # INCRs: acknowledged, without a known outcome
        self.wrong = []
        self.errors = {}

    def key(self, sequence):
        return f"w{self.number}:{sequence}"

    @property
    def counter(self):
        return f"c{self.number}"

    def run(self):
        dice = random.Random(self.number)
        while not self.leaving.wait(dice.uniform(0, 2 * THINK_SECONDS)):
            try:
                if not self.connection:
                    self.connection = resp.Connection(self.addresses[self.at], ANSWER_SECONDS)
            except OSError:
                self.move()
                continue
            self.write()
        self.drop()

    def write(self):
        sequence, self.next = self.next, self.next + 1
        counts = sequence % COUNT_EACH == 0
        sent_at = time.monotonic()
        try:
            answer = self.connection.call(*(("INCR", self.counter) if counts else ("SET", self.key(sequence), f"v{sequence}")))
        except resp.ReplyError as error:
            word = str(error).split()[0]
            self.errors[word] = self.errors.get(word, 0) + 1
            self.unsure += counts and word not in ("TRYAGAIN", "NOREPLICAS")
            self.move()
        except OSError:
            self.errors["no answer"] = self.errors.get("no answer", 0) + 1
            self.unsure += counts
            self.move()
        else:
            self.clock.acknowledged(sent_at, self)
            self.keep(counts, sequence, answer)

    def keep(self, counts, sequence, answer):
        if not counts:
            self.acked_keys.append(sequence)
            return
        self.counted += 1
        if not self.counted <= answer <= self.counted + self.unsure:
            self.wrong.append(f"{self.counter}: INCR answered {answer} after {self.counted} acknowledged and {self.unsure} unsure")

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def move(self):
        self.drop()
        self.at = (self.at + 1) % len(self.addresses)

    def verify(self, address):
        """Number of acknowledged writes, and a line for each that is not there."""
        lost = list(self.wrong)
        with resp.Connection(address, 30) as connection:
            lost += missing_of(connection, {self.key(sequence): f"v{sequence}" for sequence in self.acked_keys})
            value = int(connection.call("GET", self.counter) or 0)
        if value < self.counted:
            lost += [f"{self.counter} is {value} after {self.counted} acknowledged INCRs"] * (self.counted - value)
        elif value > self.counted + self.unsure:
            lost.append(f"{self.counter} is {value}, more than all INCRs that were sent")
        return len(self.acked_keys) + self.counted, lost


def missing_of(connection, expected):
    """The keys that have not the value that was acknowledged."""
    keys, lost = list(expected), []
    for start in range(0, len(keys), 500):
        part = keys[start:start + 500]
        lost += [key for key, value in zip(part, connection.call("MGET", *part)) if value != expected[key].encode()]
    return lost


class Visitors(threading.Thread):
    """Clients that come at a steady pace, whether earlier ones were served or not; each writes once and leaves."""
    def __init__(self, addresses, clock):
        super().__init__(daemon=True)
        self.addresses, self.clock = addresses, clock
        self.leaving, self.lock = threading.Event(), threading.Lock()
        self.expected, self.errors, self.there = {}, {}, []

    def run(self):
        number = 0
        while not self.leaving.wait(ARRIVAL_SECONDS):
            visit = threading.Thread(target=self.visit, args=(number,), daemon=True)
            visit.start()
            self.there = [one for one in self.there if one.is_alive()] + [visit]
            number += 1
        for visit in self.there:
            visit.join(3 * ANSWER_SECONDS)

    def visit(self, number):
        key, value = f"visit:{number}", f"v{number}"
        try:
            with resp.Connection(self.addresses[number % len(self.addresses)], ANSWER_SECONDS) as connection:
                sent_at = time.monotonic()
                connection.call("SET", key, value)
        except (OSError, resp.ReplyError):
            return
        self.clock.acknowledged(sent_at)
        with self.lock:
            self.expected[key] = value

    def verify(self, address):
        with resp.Connection(address, 30) as connection:
            return len(self.expected), missing_of(connection, self.expected)
