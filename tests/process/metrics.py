#!/usr/bin/env python3
"""/metrics of living nodes: read strictly, and every family is in docs/metrics.md, and none else."""
import os
import re
import unittest
import urllib.request

from cluster import Cluster, wait_until

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "metrics.md")
HELP = re.compile(r"# HELP (holdfast_[a-z_]+) (\S.*)")
TYPE = re.compile(r"# TYPE (holdfast_[a-z_]+) (counter|gauge|histogram)")
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
VALUE = re.compile(r"(holdfast_[a-z_]+)(?:\{(" + LABEL + "(?:," + LABEL + r")*)\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")


def page_of(node):
    with urllib.request.urlopen(f"http://{node.host}:{node.http_port}/metrics", timeout=5) as page:
        assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return page.read().decode()


def read(text):
    """{(name, labels): value}, {family: (type, label names)}; fails on what the format does not allow."""
    assert text.endswith("\n")
    values, families, family = {}, {}, None
    lines = iter(text.splitlines())
    for line in lines:
        told = HELP.fullmatch(line)
        if told:
            family = told[1]
            kind = TYPE.fullmatch(next(lines))
            assert kind and kind[1] == family and family not in families, line
            assert (kind[2] == "counter") == family.endswith("_total"), line
            families[family] = (kind[2], set())
            continue
        value = VALUE.fullmatch(line)
        assert value and family, line
        name, labels = value[1], value[2] or ""
        parts = [family + end for end in ("_bucket", "_sum", "_count")] if families[family][0] == "histogram" else [family]
        assert name in parts and (name, labels) not in values, line
        families[family][1].update(re.findall(r'([a-z_]+)="', labels))
        values[name, labels] = float(value[3])
    return values, families


def table():
    with open(TABLE, encoding="utf-8") as text:
        rows = re.findall(r"^\| `(holdfast_[a-z_]+)` \| (\w+) \|([^|]*)\|", text.read(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


class Metrics(unittest.TestCase):
    def test_every_family_is_read_and_documented(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            with leader.client() as client:
                for i in range(50):
                    client.call("SET", f"k{i}", i)
            values, families = read(page_of(leader))
            documented = table()
            self.assertEqual(sorted(families), sorted(documented))
            for name, (kind, labels) in families.items():
                self.assertEqual(kind, documented[name][0], name)
                self.assertLessEqual(labels, documented[name][1], name)
            self.assertGreaterEqual(values["holdfast_writes_acknowledged_total", ""], 50)
            self.assertEqual(values["holdfast_keyspace_keys_here", 'keyspace="default"'], 50)
            self.histogram(values)

    def histogram(self, values):
        buckets = [value for (name, _), value in values.items() if name == "holdfast_log_sync_seconds_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertGreater(buckets[-1], 0)
        self.assertEqual(buckets[-1], values["holdfast_log_sync_seconds_count", ""])

    def test_counters_follow_what_happens(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            other = cluster.others(leader)[0]
            before = read(page_of(other))[0]
            with other.client() as client:
                for i in range(20):
                    client.call("SET", f"k{i}", i)
            after = read(page_of(other))[0]
            self.assertEqual(after["holdfast_forwarded_total", ""] - before["holdfast_forwarded_total", ""], 20)
            lost = ("holdfast_link_resets_total", f'node="{self.id_of(leader)}",link="data"')
            leader.kill()
            wait_until(lambda: read(page_of(other))[0][lost] > before[lost], 10, "the lost link is counted")

    @staticmethod
    def id_of(node):
        values = read(page_of(node))[0]
        return next(re.search(r'node="(\d+)"', labels)[1] for name, labels in values if name == "holdfast_node_info")


if __name__ == "__main__":
    unittest.main()
