#!/usr/bin/env python3
"""Hub and agent with a real Podman: fetch, create, publish, kill, cut, restart, remove. See README.md.

Prints a line per check and "N passed, N failed". When a check failed, the folder with the logs stays and is named.
"""
import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import python_image
import testkit
from testkit import API, HUB_HTTPS, Engine, Namespace, Program, Verdicts, is_left, kill_now, module_entry, pss_kib, until

TESTS = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS_OF_MODULE = [TESTS / "containers" / "module.py", TESTS / "mqtt_packets.py"]
IMAGE = f"localhost:{HUB_HTTPS}/test/module:1"
SUBNET, GATEWAY = "172.31.91.0/24", "172.31.91.1"
TWO = {"a": module_entry(IMAGE), "b": module_entry(IMAGE, environment={"RATE_HZ": "10"})}


def manifest(modules, route="FROM /messages/* INTO $upstream"):
    return testkit.manifest(modules, {
        "up": route, "across": 'FROM /messages/modules/a/outputs/* INTO BrokeredEndpoint("/modules/b/inputs/in")'})


class Podman(Program):
    """An engine with a container store of its own below `work`."""

    def __init__(self, work):
        (work / "containers.conf").write_text(f"""[containers]
default_ulimits = ["nofile=20000:20000","nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{work}/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{work}/networks"
""")
        (work / "storage.conf").write_text(f"""[storage]
driver = "overlay"
graphroot = "{work}/store"
runroot = "{work}/run"
""")
        self.socket = work / "engine.sock"
        super().__init__(["podman", "system", "service", "--time=0", f"unix://{self.socket}"], work / "engine.log", {
            "CONTAINERS_CONF": str(work / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(work / "storage.conf")})

    def start_and_wait(self):
        self.start()
        return until(lambda: Engine(self.socket).call("GET", "/version"), 20)


class AgentChecks:
    def __init__(self, programs, work):
        self.programs, self.work = programs, work
        self.verdicts = Verdicts()
        self.check = self.verdicts.check
        tag = f"verge-agent-{os.getpid()}"
        self.network = f"net-{tag}"
        self.podman = Podman(work)
        self.engine = Engine(self.podman.socket)
        self.hub = testkit.Hub(programs, work / "hub", work / "hub.log")
        self.agent = None
        self.namespace = Namespace(tag)
        self.namespace.enter()

    # -- what is asked again and again

    def ids(self):
        return {name: row["Id"] for name, row in self.engine.containers().items()}

    def is_running(self, module):
        return self.engine.containers()[module]["State"] == "running"

    def logs(self, module, more=""):
        return self.engine.call("GET", f"/containers/{self.ids()[module]}/logs?stdout=1{more}")

    def status(self, module):
        return self.hub.reported("edge")["modules"][module]["runtimeStatus"]

    def code(self, module="$edgeAgent"):
        return self.hub.reported("edge", module)["lastDesiredStatus"]["code"]

    def stored(self, module):
        return sum(line["count"] for line in self.hub.ledger("edge", module))

    def grows(self, module, by):
        before = self.stored(module)
        return until(lambda: self.stored(module) >= before + by, 60)

    def is_whole(self, module, seconds):
        return until(lambda: self.hub.is_whole("edge", module), seconds)

    def agent_with(self, option, seconds_max):
        """The agent's program for one act, with what it prints."""
        return subprocess.run([*self.agent.words, option], capture_output=True, text=True, timeout=seconds_max)

    # -- the steps

    def run(self):
        self.start()
        self.first_deployment()
        self.agent_is_killed()
        self.modules_are_killed()
        self.hub_is_away()
        self.engine_is_killed()
        self.bad_manifests()
        self.another_deployment()
        self.end()

    def start(self):
        self.check("the engine answers", self.podman.start_and_wait())
        self.check("the hub answers", self.hub.start_and_wait())
        size = python_image.push(self.hub.send, self.hub.token(), "test/module", "1", PROGRAMS_OF_MODULE)
        self.check("the image is in the hub's store", size > 0, f"{size >> 10} KiB")
        key = self.hub.make_device("edge", True)
        self.check("the device is registered", key)
        self.agent = testkit.Agent(self.programs, self.work / "agent", self.work / "agent.log", self.hub, key, {
            "engine": {"socket": str(self.podman.socket)},
            "network": {"name": self.network, "subnet": SUBNET, "gateway": GATEWAY}})
        preflight = self.agent_with("--check", 60)
        self.check("preflight", preflight.returncode == 0, "\n" + preflight.stdout.rstrip())

    def deploy(self, modules, *route):
        return self.hub.deploy("edge", manifest(modules, *route))[0] in (200, 204)

    def first_deployment(self):
        self.check("deployed", self.deploy(TWO))
        begin = time.monotonic()
        self.agent.start()
        self.check("both modules run", until(lambda: self.status("a") == self.status("b") == "running", 120),
                   f"{time.monotonic() - begin:.1f} s after the agent's start")
        details = self.engine.details("a")
        host = details["HostConfig"]
        self.check("read-only, no capabilities, limits", host["ReadonlyRootfs"] and host["PidsLimit"] == 256 and
                   host["Memory"] == 512 << 20 and details["Config"]["User"] == "1000:1000", f"{host['CapDrop']}")
        self.check("messages reach the hub", self.grows("a", 100))
        self.check("the other module gets its input", until(lambda: b"inputs" in self.logs("b", "&tail=200"), 30))
        self.check("modules are not root", b'"uid": 1000' in self.logs("b"))
        wanted = {"schemaVersion": "1.0", "items": [{"id": "a", "filter": {"tail": 2}}], "encoding": "none", "contentType": "text"}
        status, answer = self.hub.call("POST", f"/twins/edge/modules/%24edgeAgent/methods?{API}", {
            "methodName": "GetModuleLogs", "responseTimeoutInSeconds": 30, "payload": wanted})
        self.check("GetModuleLogs", status == 200 and answer["status"] == 200 and answer["payload"][0]["id"] == "a")

    def agent_is_killed(self):
        ids = self.ids()
        for _ in range(5):
            time.sleep(random.uniform(0.2, 1.5))
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
        self.check("after five kill -9 of the agent messages flow", self.grows("a", 100))
        self.check("nothing was re-created", ids == self.ids())
        for module in TWO:
            self.check(f"{module}: every number once, in order", self.is_whole(module, 20), f"{self.stored(module)} messages")

    def modules_are_killed(self):
        def state():
            return self.engine.details("a")["State"]

        kill_now(state()["Pid"])
        begin = time.monotonic()
        self.check("a killed module comes back", until(lambda: not state()["Running"], 10) is not None and
                   until(lambda: state()["Running"], 40), f"{time.monotonic() - begin:.1f} s")
        self.check("and publishes", self.grows("a", 50))

        # Podman learns of a module's end from the monitor beside it, and believes the module alive when that dies first.
        pid = state()["Pid"]
        monitor = int(testkit.run("ps", "-o", "ppid=", "-p", pid).strip())
        kill_now(monitor)
        time.sleep(0.5)
        kill_now(pid)
        time.sleep(1)
        self.check("the engine lies about a module whose monitor died", state()["Running"])
        self.check("the agent does not believe it", until(lambda: state()["Pid"] != pid and state()["Running"], 90))
        self.check("and it publishes again", self.grows("a", 50))

    def hub_is_away(self):
        self.hub.stop(signal.SIGKILL)
        time.sleep(8)
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        time.sleep(2)
        victim = self.ids()["b"]
        with contextlib.suppress(OSError):
            self.engine.call("DELETE", f"/containers/{victim}?force=1")
        self.check("without its hub a removed module is made again", until(
            lambda: self.ids()["b"] != victim and self.is_running("b"), 60))
        begin = time.monotonic()
        self.check("the hub is back", self.hub.start_and_wait())
        self.check("the backlog arrives whole (a)", self.grows("a", 200) and self.is_whole("a", 60),
                   f"{self.stored('a')} messages")
        self.check("the backlog arrives whole (b)", self.is_whole("b", 60),
                   f"{self.stored('b')} messages {time.monotonic() - begin:.1f} s after its return")

    def engine_is_killed(self):
        self.podman.stop(signal.SIGKILL)
        time.sleep(1)
        self.check("the engine's service is back", self.podman.start_and_wait() and
                   until(lambda: self.status("a") == "running", 30))

    def bad_manifests(self):
        ids = self.ids()
        self.deploy({"a": TWO["a"], "b": module_entry(IMAGE, "{broken")})
        self.check("broken createOptions are reported with 400", until(lambda: self.code() == 400, 30),
                   self.hub.reported("edge")["lastDesiredStatus"]["description"][:80])
        self.check("and the old set runs on", ids == self.ids() and self.grows("a", 20))
        self.deploy({"a": TWO["a"], "b": module_entry(IMAGE, {"HostConfig": {"Ulimits": "nonsense"}})})
        self.check("createOptions that the engine refuses are reported with 500", until(lambda: self.code() == 500, 30))
        self.check("and the old container runs on", self.ids()["b"] == ids["b"] and self.is_running("b"))
        self.deploy(TWO, "FROM /messages/* INTO nowhere")
        self.check("a bad route is reported with 400", until(lambda: self.code("$edgeHub") == 400, 30))
        self.check("and the old routes stay", self.grows("a", 20))

    def another_deployment(self):
        former = self.ids()["b"]
        self.deploy({"b": module_entry(IMAGE, environment={"RATE_HZ": "20"})})
        self.check("a dropped module is removed, a changed one replaced", until(
            lambda: set(self.ids()) == {"b"} and self.ids()["b"] != former and self.is_running("b") and
            "a" not in self.hub.reported("edge")["modules"], 60))
        self.check("and the changed one publishes", self.grows("b", 20))
        time.sleep(2)
        print(f"        agent PSS {pss_kib(self.agent.pid())} KiB, hub PSS {pss_kib(self.hub.pid())} KiB")

    def end(self):
        self.agent.stop()
        self.check("modules outlive the agent", self.is_running("b"))
        removed = self.agent_with("--remove-all", 120)
        networks = [row["Name"] for row in self.engine.call("GET", "/networks")]
        self.check("--remove-all leaves nothing", removed.returncode == 0 and not self.ids() and self.network not in networks)

    def clean_up(self):
        """Also after a run that broke off anywhere."""
        if self.agent is not None:
            self.agent.stop(signal.SIGKILL)
        if self.podman.process is not None and not self.podman.is_running():
            self.podman.start_and_wait()
        with contextlib.suppress(OSError):
            for row in self.engine.call("GET", "/containers/json?all=1"):
                for _ in range(2):  # A first time may only end it.
                    with contextlib.suppress(OSError):
                        self.engine.call("DELETE", f"/containers/{row['Id']}?force=1")
        with contextlib.suppress(OSError):
            self.engine.call("DELETE", f"/networks/{self.network}")
        for program in (self.podman, self.hub):
            program.stop(signal.SIGKILL)
        subprocess.run(["umount", "-l", str(self.work / "store" / "overlay")], capture_output=True)
        self.check("no process and no mount is left", until(lambda: not is_left(self.work), 10))
        self.namespace.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=pathlib.Path, default=TESTS.parent / "build" / "release" / "bin",
                        help="folder of verge and its fellows")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    arguments = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="verge-containers-"))
    checks = AgentChecks(arguments.programs.resolve(), work)
    try:
        checks.run()
    finally:
        checks.clean_up()
        if arguments.keep or checks.verdicts.failed or sys.exc_info()[0]:
            print(f"logs: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    return checks.verdicts.finish()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    sys.exit(main())
