"""What deploy/ says is what the binary takes: variables, flags, ports, paths, metrics, times."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BINARY = os.environ["DOORBELL_BIN"]
CLIENT_PORT, PEER_PORT = 8080, 7070


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def settings_of(printed):
    """The key of each setting, as an environment variable, with its value."""
    found = {}
    for name, value in tomllib.loads(printed).items():
        if isinstance(value, dict):
            found |= {f"DOORBELL_{name}__{key}".upper(): one for key, one in value.items()}
        else:
            found[f"DOORBELL_{name}".upper()] = value
    return found


def check(arguments, environment):
    """`doorbell check` with what one process gets, but for paths that only its own machine has."""
    scratch = tempfile.mkdtemp()
    try:
        environment = dict(environment)
        if "DOORBELL_KEY_FILE" in environment:
            environment["DOORBELL_KEY_FILE"] = f"{scratch}/key"
        environment["DOORBELL_DATA_DIR"] = scratch
        # Another process of this machine may have the port.
        environment["DOORBELL_LISTEN"] = "127.0.0.1:0"
        words = [BINARY, "check", "--print", *arguments]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)
    finally:
        shutil.rmtree(scratch)
    if done.returncode != 0 or "names no key" in done.stderr:
        raise AssertionError(f"{words} with {environment}:\n{done.stderr}")
    return settings_of(done.stdout)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def drain_of(settings):
    budgets = ("UNREADY_BUDGET", "MOVE_BUDGET", "FINISH_BUDGET")
    return sum(seconds(settings[f"DOORBELL_SHUTDOWN__{budget}"]) for budget in budgets)


def serve_arguments(words):
    """The flags after `serve`, without the data directory, which check() sets."""
    assert words[0] == "serve", words
    words = words[1:]
    if "--data-dir" in words:
        at = words.index("--data-dir")
        del words[at : at + 2]
    return words


class Image(unittest.TestCase):
    def test_the_image_exposes_the_ports_and_sets_what_there_is(self):
        text = (DEPLOY / "Dockerfile").read_text()
        exposed = re.search(r"^EXPOSE (.*)$", text, re.M).group(1).split()
        self.assertEqual([int(port) for port in exposed], [CLIENT_PORT, PEER_PORT])
        variables = dict(re.findall(r"(DOORBELL_\w+)=(\S+)", text))
        self.assertEqual(set(variables), {"DOORBELL_LISTEN", "DOORBELL_DATA_DIR", "DOORBELL_LOG_FORMAT"})
        known = check([], {})
        self.assertLessEqual(set(variables), set(known))
        self.assertTrue(variables["DOORBELL_LISTEN"].endswith(f":{CLIENT_PORT}"))
        self.assertIn("/usr/bin/doorbell", re.search(r"^ENTRYPOINT (.*)$", text, re.M).group(1))


class Compose(unittest.TestCase):
    def setUp(self):
        (self.file,) = documents(DEPLOY / "compose/compose.yaml")
        services = self.file["services"]
        self.ours = {name: one for name, one in services.items() if one.get("image") == "doorbell"}

    def test_there_are_two_of_each_role_with_a_configuration_that_is_taken(self):
        roles = []
        for name, service in self.ours.items():
            environment = {key: re.sub(r"\$\{DOORBELL_PEER_KEY:.*\}", "k3y-" * 3 + "0123456789abcdefghij", value)
                           for key, value in service["environment"].items()}
            settings = check(serve_arguments(list(service["command"])), environment)
            roles += settings["DOORBELL_ROLES"]
            self.assertEqual(settings["DOORBELL_CLUSTER__ADVERTISE"], f"{name}:{PEER_PORT}")
            self.assertGreater(seconds(service["stop_grace_period"]), drain_of(settings))
        self.assertEqual(sorted(roles), sorted(["gateway", "notifier", "channel", "message"] * 2))

    def test_published_ports_are_those_of_the_image_and_of_this_machine_alone(self):
        for name, service in self.ours.items():
            for port in service.get("ports", []):
                host, outside, inside = port.split(":")
                self.assertEqual((host, int(inside)), ("127.0.0.1", CLIENT_PORT), name)
                public = service["environment"]["DOORBELL_CLUSTER__PUBLIC_URL"]
                self.assertEqual(public, f"ws://127.0.0.1:{outside}")

    def test_everything_is_scraped_and_every_file_is_there(self):
        (prometheus,) = documents(DEPLOY / "compose/prometheus.yaml")
        (job,) = prometheus["scrape_configs"]
        (scraped,) = job["static_configs"]
        self.assertEqual(sorted(scraped["targets"]), sorted(f"{name}:{CLIENT_PORT}" for name in self.ours))
        (own,) = documents(ROOT / "grafana/prometheus.yaml")
        self.assertEqual(job["job_name"], own["scrape_configs"][0]["job_name"])
        for service in self.file["services"].values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((DEPLOY / "compose" / source).exists(), volume)
                else:
                    self.assertIn(source, self.file["volumes"])

    def test_the_image_owns_the_folder_of_each_named_volume(self):
        image = (DEPLOY / "Dockerfile").read_text()
        (made,) = re.findall(r"install --directory --owner doorbell --group doorbell (.*)$", image, re.M)
        volumes = [volume.split(":") for one in self.ours.values() for volume in one.get("volumes", [])]
        named = {target for source, target, *_ in volumes if source in self.file["volumes"]}
        self.assertEqual(named, set(made.split()))


class Systemd(unittest.TestCase):
    def unit(self):
        return (DEPLOY / "systemd/doorbell@.service").read_text()

    def test_each_role_starts_with_its_files(self):
        unit = self.unit()
        start = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
        self.assertEqual(start[:2], ["/usr/bin/doorbell", "serve"])
        stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M).group(1))
        ports = []
        for role in ("gateway", "notifier", "channel", "message"):
            words = [word.replace("%i", role).replace("/etc/doorbell/doorbell.toml", str(DEPLOY / "systemd/doorbell.toml"))
                     for word in start[2:]]
            lines = (DEPLOY / f"systemd/{role}.env").read_text().splitlines()
            environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
            ports += [environment["DOORBELL_LISTEN"].split(":")[1], environment["DOORBELL_CLUSTER__LISTEN"].split(":")[1]]
            environment["DOORBELL_KEY_FILE"] = "replaced"
            with tempfile.NamedTemporaryFile("w") as key:
                key.write("k3y-" * 3 + "0123456789abcdefghij")
                key.flush()
                environment["DOORBELL_CLUSTER__PEER_KEY_FILE"] = key.name
                settings = check(words, environment)
            self.assertEqual(settings["DOORBELL_ROLES"], [role])
            self.assertGreater(stop, drain_of(settings))
        self.assertEqual(len(ports), len(set(ports)), "roles of one machine have ports of their own")

    def test_the_unit_is_one(self):
        if shutil.which("systemd-analyze") is None:
            self.assertIn("[Service]", self.unit())
            return
        words = ["systemd-analyze", "verify", "--man=no", str(DEPLOY / "systemd/doorbell@.service")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        wrong = [line for line in done.stderr.splitlines() if "doorbell@" in line and "not executable" not in line]
        self.assertEqual(wrong, [])


class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.objects = [one for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for one in documents(path)]
        (self.common,) = [one["data"] for one in self.objects if one["kind"] == "ConfigMap"]
        self.workloads = {one["metadata"]["name"]: one for one in self.objects if one["kind"] in ("Deployment", "StatefulSet")}

    def containers(self):
        for name, workload in self.workloads.items():
            pod = workload["spec"]["template"]
            (container,) = pod["spec"]["containers"]
            yield name, pod, container

    def test_each_role_has_a_configuration_that_is_taken_and_the_time_to_drain(self):
        roles = []
        for name, pod, container in self.containers():
            own = {one["name"]: one.get("value", "k3y-" * 3 + "0123456789abcdefghij") for one in container["env"]}
            self.assertEqual(own.pop("POD_IP")[:3], "k3y")
            own["DOORBELL_CLUSTER__ADVERTISE"] = own["DOORBELL_CLUSTER__ADVERTISE"].replace("$(POD_IP)", "10.0.0.1")
            settings = check(serve_arguments(list(container["args"])), self.common | own)
            roles += settings["DOORBELL_ROLES"]
            self.assertEqual(pod["metadata"]["labels"]["role"], settings["DOORBELL_ROLES"][0])
            pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
            self.assertGreater(pod["spec"]["terminationGracePeriodSeconds"], drain_of(settings) + pause, name)
        self.assertEqual(sorted(roles), ["channel", "gateway", "message", "notifier"])

    def test_ports_and_names_agree(self):
        (policy,) = [one for one in self.objects if one["kind"] == "NetworkPolicy"]
        opened = [rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]]
        self.assertEqual(opened, [CLIENT_PORT, PEER_PORT])
        self.assertNotIn("from", policy["spec"]["ingress"][0])
        self.assertIn("from", policy["spec"]["ingress"][1])
        for name, pod, container in self.containers():
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            self.assertEqual(ports, {"http": CLIENT_PORT, "peers": PEER_PORT})
            self.assertEqual(pod["metadata"]["annotations"]["prometheus.io/port"], str(CLIENT_PORT))
            for probe in ("readinessProbe", "livenessProbe"):
                self.assertIn(container[probe]["httpGet"]["port"], ports)
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            claims = self.workloads[name]["spec"].get("volumeClaimTemplates", [])
            volumes = {volume["name"] for volume in pod["spec"]["volumes"]} | {claim["metadata"]["name"] for claim in claims}
            self.assertEqual(mounts, volumes)
        for service in (one for one in self.objects if one["kind"] == "Service"):
            self.assertTrue(any(service["spec"]["selector"] == pod["metadata"]["labels"] for _, pod, _ in self.containers()))

    def test_budgets_and_scaling_are_of_what_there_is(self):
        for one in self.objects:
            if one["kind"] == "PodDisruptionBudget":
                labels = one["spec"]["selector"]["matchLabels"]
                self.assertTrue(any(labels == pod["metadata"]["labels"] for _, pod, _ in self.containers()))
            if one["kind"] == "HorizontalPodAutoscaler":
                self.assertIn(one["spec"]["scaleTargetRef"]["name"], self.workloads)
        scaled = {one["spec"]["scaleTargetRef"]["name"] for one in self.objects if one["kind"] == "HorizontalPodAutoscaler"}
        self.assertEqual(scaled, {"doorbell-gateway", "doorbell-notifier"})


class Running(unittest.TestCase):
    """One process that does everything: has it the paths and the metrics?"""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp()
        words = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", cls.scratch]
        cls.process = subprocess.Popen(words, env={}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.address = cls.process.stdout.readline().strip().removeprefix("doorbell ready on ")

    @classmethod
    def tearDownClass(cls):
        cls.process.kill()
        cls.process.wait()
        cls.process.stdout.close()
        shutil.rmtree(cls.scratch)

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=10) as answer:
            self.assertEqual(answer.status, 200)
            return answer.read().decode()

    def named(self, pattern):
        files = [path for path in DEPLOY.rglob("*") if path.is_file()]
        return {found for path in files for found in re.findall(pattern, path.read_text())}

    def test_every_path_that_is_named_answers(self):
        paths = self.named(r"(?:path: |metrics_path: )(/\S+?)[,\s]") - {"/metrics,"}
        paths = {path for path in paths if not path.startswith("/var")}
        self.assertEqual(paths, {"/readyz", "/healthz", "/metrics"})
        for path in paths:
            self.get(path)

    def test_every_metric_that_is_named_is_there(self):
        metrics = self.named(r"name: (doorbell_\w+)")
        self.assertEqual(len(metrics), 2)
        there = set(re.findall(r"^# TYPE (\w+)", self.get("/metrics"), re.M))
        self.assertLessEqual(metrics, there)


if __name__ == "__main__":
    unittest.main()
