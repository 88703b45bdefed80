#!/usr/bin/env python3
"""/metrics of living nodes: read strictly, and every family is in docs/metrics.md, and none else."""
import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.request

from cluster import Cluster, die_with_parent, free_port, run, wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TABLE = os.path.join(ROOT, "docs", "metrics.md")
RULES = os.path.join(ROOT, "deploy", "prometheus", "holdfast.rules.yaml")
RULE_TESTS = os.path.join(ROOT, "deploy", "prometheus", "holdfast.test.yaml")
DASHBOARD = os.path.join(ROOT, "deploy", "grafana", "holdfast.json")
PROMTOOL = shutil.which("promtool")
EXPORTER = shutil.which("prometheus-redis-exporter")
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


class Deploy(unittest.TestCase):
    """What is shipped for Prometheus and Grafana speaks of metrics that there are."""

    def names_in(self, text):
        names = set(re.findall(r"\bholdfast_[a-z_]+", text))
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    def test_rules_and_dashboard_name_what_there_is(self):
        documented = set(table())
        for path in (RULES, DASHBOARD):
            with open(path, encoding="utf-8") as text:
                names = self.names_in(text.read())
            self.assertGreater(len(names), 10)
            self.assertLessEqual(names, documented, path)

    def test_the_dashboard_is_whole(self):
        with open(DASHBOARD, encoding="utf-8") as text:
            panels = json.load(text)["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
            self.assertTrue(all(target["expr"] for target in panel["targets"]))

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_promtool_accepts_the_rules(self):
        for command in (("check", "rules", RULES), ("test", "rules", RULE_TESTS)):
            code, out, errors = run(PROMTOOL, *command, timeout=60)
            self.assertEqual(code, 0, out + errors)

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_promtool_accepts_the_page_and_the_dashboard(self):
        with Cluster(1) as cluster:
            cluster.start()
            page = page_of(cluster.nodes[0])
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


@unittest.skipUnless(EXPORTER, "prometheus-redis-exporter is not installed")
class Exporter(unittest.TestCase):
    def scrape(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                return page.read().decode()
        except OSError:
            return None

    def test_redis_exporter_scrapes_without_errors(self):
        with Cluster(3) as cluster:
            cluster.start()
            leader = cluster.leader()
            for i in range(20):
                leader.call("SET", f"k{i}", i)
            for node in (leader, cluster.others(leader)[0]):
                port = free_port()
                log = os.path.join(cluster.folder, "exporter.log")
                with open(log, "wb") as out:
                    exporter = subprocess.Popen([EXPORTER, "--redis.addr", f"redis://{node.name}", "--web.listen-address",
                                                 f"127.0.0.1:{port}"], stdout=out, stderr=out, preexec_fn=die_with_parent)
                cluster.at_end.append(exporter.kill)
                page = wait_until(lambda port=port: self.scrape(port), 10, "the exporter answers")
                self.assertRegex(page, r"(?m)^redis_up 1$")
                self.assertRegex(page, r'(?m)^redis_exporter_last_scrape_error\{err=""\} 0$')
                self.assertRegex(page, r'(?m)^redis_connected_clients \d+$')
                if node is leader:
                    self.assertRegex(page, r'(?m)^redis_db_keys\{db="db0"\} 20$')
                exporter.kill()
                exporter.wait()
                with open(log, encoding="utf-8") as text:  # it asks for LATENCY, too, and goes on without
                    errors = [line for line in text if "level=error" in line and "LATENCY" not in line]
                self.assertEqual(errors, [])


if __name__ == "__main__":
    unittest.main()
