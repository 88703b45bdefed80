#!/usr/bin/env python3
"""Wrong use gets one line that names the cure and an exit code that says so."""
import os
import socket
import tempfile
import unittest

from cluster import HOLDFAST, HOLDFASTD, Cluster, free_port, run, wait_until


class CommandLine(unittest.TestCase):
    def refused(self, code, wanted, *command):
        got, out, err = run(*command)
        self.assertEqual(got, code, (command, out, err))
        self.assertEqual(out, "")
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(wanted, err)

    def test_unknown_verbs_and_options_of_holdfast(self):
        self.refused(2, "holdfast --help", HOLDFAST)
        self.refused(2, "unknown verb 'stauts'", HOLDFAST, "stauts")
        self.refused(2, "unknown option '--jason'", HOLDFAST, "status", "--jason")
        self.refused(2, "status takes no 'now'", HOLDFAST, "status", "now")
        self.refused(2, "unknown option", HOLDFAST, "--verbose", "status")
        self.refused(2, "needs a value", HOLDFAST, "dev", "--nodes")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--nodes", "0")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--nodes", "3x")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--port", "65000")

    def test_verbs_of_later_versions(self):
        for verb in ("top", "keyspace", "node", "replica", "partition", "loss", "failovers", "events", "whatif", "backup"):
            self.refused(2, f"{verb}: not available in this version", HOLDFAST, verb)

    def test_help(self):
        for words in ([], ["status"], ["dev"]):
            code, out, err = run(HOLDFAST, *words, "--help")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("holdfast", out)
        self.assertEqual(run(HOLDFASTD, "--help")[0], 0)

    def test_status_without_a_server(self):
        self.refused(1, "is holdfastd running there?", HOLDFAST, "-a", f"127.0.0.1:{free_port()}", "status")
        self.refused(1, "no such host or port", HOLDFAST, "-a", "nonsense", "status")

    def test_unknown_options_of_holdfastd(self):
        with tempfile.TemporaryDirectory() as folder:
            place = os.path.join(folder, "data")
            self.refused(2, "unknown option 'dri'", HOLDFASTD, "--dri", place)
            self.refused(2, "is not an option", HOLDFASTD, "--dir", place, "extra")
            self.refused(2, "needs a value", HOLDFASTD, "--dir")
            self.refused(2, "not HOST:PORT", HOLDFASTD, "--dir", place, "--listen", "6379")
            self.refused(2, "one worker", HOLDFASTD, "--dir", place, "--workers", "4")
            self.refused(2, "not available in this version", HOLDFASTD, "--dir", place, "--requirepass", "secret")
            self.refused(2, "cannot read the config file", HOLDFASTD, os.path.join(folder, "absent.conf"))
            self.assertFalse(os.path.exists(place), "a refused start leaves nothing behind")

    def test_a_bad_config_file_is_named_with_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("# ours\ndir /tmp/x\nbogus 1\n")
            file.flush()
            self.refused(2, "line 3", HOLDFASTD, file.name)

    def serve(self, folder, *more):
        """Arguments of a node with an address of its own that should not come up."""
        return [HOLDFASTD, "--dir", os.path.join(folder, "data"), "--listen", f"127.0.0.1:{free_port()}", *more]

    def test_ports_in_use(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
            port = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refused(1, port, HOLDFASTD, "--dir", os.path.join(folder, "a"), "--listen", port, "--peer-listen",
                         "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
            self.refused(1, port, *self.serve(folder, "--http-listen", port))

    def test_a_directory_that_cannot_be(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "file")
            open(file, "w", encoding="utf-8").close()
            ports = ["--listen", f"127.0.0.1:{free_port()}"]
            self.refused(1, file, HOLDFASTD, "--dir", file, *ports)
            self.refused(1, "absent", HOLDFASTD, "--dir", os.path.join(folder, "absent", "deep"), *ports)

    def test_a_directory_in_use(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.refused(1, "give another --dir", HOLDFASTD, "--dir", node.dir, "--listen", f"127.0.0.1:{free_port()}")
            self.assertEqual(node.call("PING"), "PONG")

    def test_join_lists(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refused(1, "is not HOST:PORT", *self.serve(folder, "--join", "127.0.0.1:1,nonsense"))
            self.refused(1, "twice", *self.serve(folder, "--join", "127.0.0.1:1,127.0.0.1:1"))

    def test_join_lists_that_differ_are_named(self):
        with Cluster(3) as cluster:
            odd = cluster.nodes[2]
            odd.join = f"{odd.name},{cluster.nodes[0].name}"
            for node in cluster.nodes:
                node.start()
            wait_until(lambda: f"{odd.name} was started with another --join list" in cluster.nodes[0].log(), 10,
                       "the first node names the odd one")
            self.assertFalse(cluster.nodes[0].is_ready())

    def test_a_directory_of_another_cluster(self):
        with Cluster(3) as cluster, Cluster(3) as other:
            cluster.start()
            other.start()
            stranger = other.nodes[2]
            stranger.stop()
            cluster.nodes[2].stop()
            os.rename(cluster.nodes[2].dir, cluster.nodes[2].dir + ".away")
            os.rename(stranger.dir, cluster.nodes[2].dir)
            cluster.nodes[2].start()
            self.assertNotEqual(cluster.nodes[2].wait_exit(10), 0)
            self.assertIn("another cluster", cluster.nodes[2].log().splitlines()[-1])
            self.assertEqual(cluster.nodes[0].call("SET", "mine", "1"), "OK")
            self.assertEqual(other.nodes[0].call("GET", "mine"), None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
