"""What the outage tests share: the product in network namespaces of its own, its public calls, and the ledger.

Every namespace has loopback and what is added here, and no way out. Needs root, podman, runc, netavark, iproute2.
"""
import base64
import ctypes
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "containers"))
import python_image  # noqa: E402

PROGRAMS_OF_LOAD = [HERE / "load.py", HERE.parent / "containers" / "module.py"]
CLONE_NEWNET = 0x40000000
PAGE = 1000


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(condition, seconds, period=0.1):
    """The condition's first true value, or its last one after `seconds`. Refused connections count as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            value = None
        if value or time.monotonic() > end:
            return value
        time.sleep(period)


class Checks:
    """Counts, and prints as it goes."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what, is_good, detail=""):
        print(f"{'ok      ' if is_good else 'FAILED  '}{what}{'  ' if detail else ''}{detail}", flush=True)
        if is_good:
            self.passed += 1
        else:
            self.failed += 1

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


# -- namespaces


class Namespace:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.call("ip", "link", "set", "lo", "up")
        if self.call("ip", "route", "show", "default").strip():
            raise RuntimeError(f"namespace {name} has a way out")

    def command(self, *command):
        # Not `ip netns exec`: it remounts /sys, and the container runtime would not find its cgroups.
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def call(self, *command, **options):
        return run(*self.command(*command), **options)

    def enter(self):
        """From now on this process, and what it starts, lives in it."""
        with open(f"/run/netns/{self.name}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"enter namespace {self.name}")

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


# -- processes


def kill_now(pid):
    if not pid or pid < 2:
        raise ValueError(f"kill -9 {pid}: 0 and below mean a whole group of processes")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def pids_of(folder):
    """Processes with `folder` in their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in words:
                found.append(int(entry.name))
    return found


# -- the hub and the engine, reached as anybody would


class Hub:
    def __init__(self, connection_file):
        known = json.loads(pathlib.Path(connection_file).read_text())
        self.parts = dict(item.split("=", 1) for item in known["connection_string"].split(";"))
        self.trust = pathlib.Path(connection_file).parent / "ca.pem"
        self.port = known["https_port"]
        self.address = "localhost"

    def token(self):
        resource, end = urllib.parse.quote(self.parts["HostName"], safe=""), int(time.time()) + 3600
        key = base64.b64decode(self.parts["SharedAccessKey"])
        signature = base64.b64encode(hmac.digest(key, f"{resource}\n{end}".encode(), "sha256")).decode()
        return (f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(signature, safe='')}&se={end}"
                f"&skn={self.parts['SharedAccessKeyName']}")

    def call(self, method, target, headers=None, raw=None):
        context = ssl.create_default_context(cafile=self.trust)
        connection = http.client.HTTPSConnection(self.address, self.port, context=context, timeout=30)
        try:
            connection.request(method, target, raw, {"Authorization": self.token(), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, method, target, body=None):
        raw = json.dumps(body).encode() if body is not None else None
        status, text, _ = self.call(method, target, {"Content-Type": "application/json"}, raw)
        if status >= 300:
            raise OSError(f"{method} {target}: {status} {text[:300]}")
        return json.loads(text) if text else None

    def is_well(self):
        return self.call("GET", "/healthz")[0] == 200

    def reported(self, device, module="$edgeAgent"):
        target = f"/twins/{device}/modules/{urllib.parse.quote(module)}?api-version=2021-04-12"
        return self.json("GET", target)["properties"]["reported"]

    def ledger(self, device, module=""):
        return self.json("GET", f"/api/v1/ledger?device={device}&module={module}")

    def bodies(self, device, module):
        """The bodies of a module's messages in the order of history, oldest first."""
        newest_first, before = [], ""
        while True:
            page = self.json("GET", f"/api/v1/events?device={device}&module={module}&limit={PAGE}{before}")
            newest_first += [event["body"] for event in page["events"]]
            if "next" not in page:
                return newest_first[::-1]
            before = f"&before={page['next']}"


class Engine:
    def __init__(self, path):
        self.path = str(path)

    def call(self, method, target):
        connection = http.client.HTTPConnection("engine", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(30)
        try:
            connection.sock.connect(self.path)
            connection.request(method, "/v1.41" + target)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise OSError(f"{method} {target}: {answer.status} {text[:300]}")
            return json.loads(text) if text else None
        finally:
            connection.close()

    def container(self, module):
        for row in self.call("GET", "/containers/json?all=1"):
            if (row["Labels"] or {}).get("verge.module") == module:
                return row
        return None

    def pid(self, module):
        """Of the module's process, or 0. Looked up in the process table too: an engine may believe the dead alive."""
        row = self.container(module)
        state = self.call("GET", f"/containers/{row['Id']}/json")["State"] if row else {}
        return state["Pid"] if state.get("Running") and is_alive(state["Pid"]) else 0


# -- the machine


class Machine:
    """A VERGE_HOME below `work`: started by `verge`, kept running by its supervisor and nobody else."""

    def __init__(self, programs, work, name, namespace):
        self.programs = pathlib.Path(programs).resolve()
        self.home = work / name
        self.namespace = namespace
        self.environment = {**os.environ, "VERGE_HOME": str(self.home)}
        self.environment.pop("VERGE_ENGINE_SOCKET", None)
        self.ledgers = work / "ledger"
        self.ledgers.mkdir(exist_ok=True)
        # The modules are not root.
        self.ledgers.chmod(0o777)

    def verge(self, *arguments):
        return self.namespace.call(self.programs / "verge", *arguments, env=self.environment, timeout=300)

    def check_engine(self):
        machine = json.loads((self.home / "machine.json").read_text())
        if not machine["engine_is_own"]:
            raise RuntimeError(f"an engine of this machine's user answers on {machine['engine_socket']}; it lives outside "
                               "the test's namespace, so end it, or run the test where there is none")
        return Engine(machine["engine_socket"])

    def pid(self, program):
        state = json.loads((self.home / "supervisor.json").read_text())
        pid = (state["supervisor"] if program == "supervisor" else state["children"].get(program, {})).get("pid", 0)
        return pid if pid and is_alive(pid) else 0

    def allow_ledgers(self):
        """Lets modules mount their ledger, and shortens their rest, which is ten seconds and more for real devices."""
        path = self.home / "agent" / "agent.json"
        settings = json.loads(path.read_text())
        settings["allowed"] = ["Binds"]
        settings["restart"] = {"cool_off_s": 1, "cool_off_s_max": 5}
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        before = until(lambda: self.pid("agent"), 20)
        kill_now(before)
        if not until(lambda: self.pid("agent") not in (0, before), 20):
            raise RuntimeError("the supervisor did not start the agent again")

    def device(self):
        return json.loads((self.home / "agent" / "agent.json").read_text())["device"]

    def down(self):
        subprocess.run(self.namespace.command(self.programs / "verge", "down"), env=self.environment,
                       capture_output=True, timeout=180)


def manifest(modules, image, ledgers, rate_hz):
    options = {"HostConfig": {"Binds": [f"{ledgers}:/ledger"], "Memory": 134217728}}
    return {"modulesContent": {
        "$edgeAgent": {"properties.desired": {
            "schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "verge-agent", "createOptions": "{}"}},
                "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always",
                            "settings": {"image": "verge-agent", "createOptions": "{}"}}},
            "modules": {name: {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
                               "env": {"RATE_HZ": {"value": str(rate_hz)}},
                               "settings": {"image": image, "createOptions": json.dumps(options)}} for name in modules}}},
        "$edgeHub": {"properties.desired": {
            "schemaVersion": "1.1", "routes": {"up": "FROM /messages/* INTO $upstream"},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}}}}


def push_load(hub, host):
    size = python_image.push(lambda method, target, headers, raw: hub.call(method, target, headers, raw), hub.token(),
                             "outages/load", "1", PROGRAMS_OF_LOAD)
    print(f"the load's image: {size >> 10} KiB")
    return f"{host}:{hub.port}/outages/load:1"


# -- the ledger


def acknowledged(ledgers, module):
    """{(run, number)} that the router acknowledged to a module's process, as the process wrote down."""
    numbers = set()
    for path in ledgers.glob(f"{module}-*"):
        if path.suffix == ".quiet":
            continue
        run_number = int(path.name.rsplit("-", 1)[1])
        # The last line may be cut: the process was killed while it wrote.
        numbers.update((run_number, int(line)) for line in path.read_text().split("\n")[:-1] if line)
    return numbers


def is_quiet(ledgers, module):
    """The newest life of the module has nothing open any more."""
    runs = [int(path.name.rsplit("-", 1)[1]) for path in ledgers.glob(f"{module}-*") if path.suffix != ".quiet"]
    return bool(runs) and (ledgers / f"{module}-{max(runs)}.quiet").exists()


def stop_load(ledgers):
    (ledgers / "stop").touch()


def wait_until_all_arrived(hub, device, modules, ledgers, seconds):
    """True once nothing is open in the modules and the hub's history holds still with all acknowledged in it."""
    if not until(lambda: all(is_quiet(ledgers, module) for module in modules), seconds):
        return False
    wanted = sum(len(acknowledged(ledgers, module)) for module in modules)
    counted = {"last": -1, "since": time.monotonic()}

    def holds_still():
        count = sum(line["count"] for line in hub.ledger(device))
        if count != counted["last"]:
            counted.update(last=count, since=time.monotonic())
        return count >= wanted and time.monotonic() - counted["since"] > 3

    return bool(until(holds_still, seconds, 0.5))


def compare(check, hub, device, modules, ledgers):
    """The heart of the tests: what the router acknowledged against what the hub's history holds."""
    rows = []
    for module in modules:
        promised = acknowledged(ledgers, module)
        held = [(body["run"], body["n"]) for body in hub.bodies(device, module)]
        missing = promised - set(held)
        twice = len(held) - len(set(held))
        late, highest = 0, (0, 0)
        for number in held:
            late += number < highest
            highest = max(highest, number)
        lines = [line for line in hub.ledger(device, module) if line["module"] == module]
        holes = sum(line["last"] - line["first"] + 1 - line["count"] for line in lines)
        swapped = sum(line["out_of_order"] for line in lines)
        rows.append([module, len({run_number for run_number, _ in promised}), len(promised), len(held), len(missing), twice,
                     late, len(lines), holes, swapped])
        check(f"{module}: every acknowledged number is in history", promised and not missing, sample(missing))
        check(f"{module}: none is there twice", not twice, sample(number for number in set(held) if held.count(number) > 1)
              if twice else "")
        check(f"{module}: in the order of the sender", not late)
        check(f"{module}: the hub's ledger has no hole and no late one", lines and not holes and not swapped)
    print_table(["module", "lives", "acknowledged", "in history", "missing", "twice", "late", "epochs", "holes",
                 "out of order"], rows)


def sample(numbers):
    first = sorted(numbers)[:5]
    return "" if not first else "for example (run, number) " + " ".join(map(str, first))


def print_table(head, rows):
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))))
    sys.stdout.flush()


def work_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="verge-outage-"))


def remove_folder(work):
    shutil.rmtree(work, ignore_errors=True)
