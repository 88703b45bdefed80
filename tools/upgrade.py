#!/usr/bin/env python3
"""A rolling upgrade under load, from an older build to this one, back, and forward again; then the feature level is raised.

    tools/upgrade.py COMMIT [--build BUILD]

Builds COMMIT in a scratch folder. Three nodes of it form a cluster with two keyspaces; who writes through the nodes that are not being
stopped and retries nothing must see no error, and nothing may be lost. A node is stopped with SIGTERM and started with the other build."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def build_of(commit, folder):
    tree = os.path.join(folder, "tree")
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", tree, commit], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["make", "-C", tree, "--no-print-directory", "programs"], check=True, stdout=subprocess.DEVNULL)
    return tree


class Upgrade:
    def __init__(self, cluster, old, new):
        self.cluster, self.builds = cluster, {"old": old, "new": new}

    def use(self, node, which):
        """Node.command() names the daemon of this build: the wrapper is what runs."""
        daemon = os.path.join(self.builds[which], "holdfastd")
        node.wrapper = ["sh", "-c", f'shift; exec {daemon} "$@"', "sh"]

    def roll(self, which):
        from nodes import Counter
        counters = {}
        for node in self.cluster.nodes:
            for other in self.cluster.nodes:
                if other is node:
                    continue
                for space in ("carts", "0"):
                    name = f"{which}-{node.number}-{other.number}-{self.turn}"
                    counters[name, space] = Counter(other, name, space)
            code = node.stop()
            assert code == 0, f"node {node.number} ended with {code}"
            self.use(node, which)
            node.start()
            self.cluster.wait_ready(30, [node])
            for (name, space), counter in list(counters.items()):
                if (name, space) not in self.done:
                    self.done[name, space] = counter.stop()
                    assert counter.error is None, f"{name}: {counter.error} after {counter.count}"
                    self.longest = max(self.longest, counter.longest)
        self.turn += 1
        print(f"all nodes run the {which} build: {sum(self.done.values())} writes so far, the longest took {self.longest * 1000:.0f} ms",
              flush=True)

    def check(self):
        for space in ("carts", "0"):
            with self.cluster.nodes[1].client() as client:
                client.call("SELECT", space)
                for (name, where), count in self.done.items():
                    if where == space:
                        assert int(client.call("GET", name)) == count, name

    def run(self):
        from cluster import HOLDFAST, run
        self.done, self.longest, self.turn = {}, 0, 0
        for node in self.cluster.nodes:
            self.use(node, "old")
        self.cluster.start()
        code, _, err = run(HOLDFAST, "-a", self.cluster.nodes[0].name, "keyspace", "create", "carts", "--replicas", "3", "--partitions", "4")
        assert code == 0, err
        for which in ("new", "old", "new"):
            self.roll(which)
            if which == "old":
                code, _, err = run(HOLDFAST, "-a", self.cluster.nodes[0].name, "node", "raise")
                assert code != 0, "raised by a build that cannot"
        code, _, err = run(HOLDFAST, "-a", self.cluster.nodes[0].name, "node", "raise")
        assert code == 0, err
        self.roll("new")
        self.check()
        print("no error, nothing lost")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--build", default=str(ROOT / "build"))
    options = parser.parse_args()
    os.environ["HOLDFAST_BUILD"] = os.path.abspath(options.build)
    sys.path.insert(0, str(ROOT / "tests" / "process"))
    from cluster import Cluster
    with tempfile.TemporaryDirectory(prefix="holdfast-upgrade-") as folder:
        tree = build_of(options.commit, folder)
        try:
            with Cluster(3) as cluster:
                Upgrade(cluster, os.path.join(tree, "build"), os.environ["HOLDFAST_BUILD"]).run()
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False)


if __name__ == "__main__":
    main()
