"""What the Python tests share: verdicts, waiting, programs, signatures, hub and engine as a client sees them.

Standard library only, so that the product is judged by something that shares no code with it. Imported after one line:

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
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
import time
import urllib.parse

API = "api-version=2021-04-12"
HUB_MQTT, HUB_HTTPS, HUB_HTTP = 18883, 18443, 18080  # Ports of a Hub.
ROUTER = "172.31.94.1"  # Where an Agent without a container engine listens; in 172.31.94.0/24.
PAGE, PAGES_MAX = 1000, 10_000  # Messages in one answer about history, and answers, which bounds a hub that repeats itself.
CLONE_NEWNET = 0x40000000  # From <linux/sched.h>.


# -- verdicts and waiting


class Verdicts:
    """Counts checks and prints a line for each: "ok" or "FAILED", what was checked, and a detail."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, is_good, detail=""):
        """Whether it is good."""
        print(f"{'ok     ' if is_good else 'FAILED '} {what}{': ' if detail else ''}{detail}", flush=True)
        if is_good:
            self.passed += 1
        else:
            self.failed += 1
        return bool(is_good)

    def finish(self):
        """Prints "N passed, N failed", which the scripts around read; the exit code, 0 or 1."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 else 1


SLOWNESS = 4  # How much slower than ours a machine may be, or one that is busy; what waits longer waits so only to fail.


def until(condition, seconds=20, period_s=0.1):
    """The condition's first true value, or its last value after SLOWNESS times `seconds`; it is called once at least.

    None stands for what it throws while things start: no connection, a file or a field that is not there yet, half a JSON.
    """
    end = time.monotonic() + seconds * SLOWNESS
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            value = None
        if value or time.monotonic() > end:
            return value
        time.sleep(period_s)


# -- signatures


def sign(resource, key, policy=None, seconds=3600):
    """A shared access signature. resource: "HOST/devices/D"; key: in base64; it ends in `seconds`, may be negative."""
    resource, end = urllib.parse.quote(resource, safe=""), int(time.time()) + seconds
    digest = hmac.digest(base64.b64decode(key), f"{resource}\n{end}".encode(), "sha256")
    signature = urllib.parse.quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={end}" + (f"&skn={policy}" if policy else "")


def policy_token(connection_string, seconds=3600):
    """The signature of the policy that a hub's connection string names. KeyError when the string lacks a part."""
    parts = dict(item.split("=", 1) for item in connection_string.split(";"))
    return sign(parts["HostName"], parts["SharedAccessKey"], parts["SharedAccessKeyName"], seconds)


# -- programs


def run(*command, **options):
    """Its standard output; RuntimeError with all that it said when it ends with another code than 0."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Program:
    """A program, its log, and its end by the pid that we started. environment: what it gets besides ours."""

    def __init__(self, words, log, environment=None):
        self.words, self.log, self.environment = [str(word) for word in words], pathlib.Path(log), environment or {}
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, env={**os.environ, **self.environment})

    def stop(self, how=signal.SIGTERM, seconds_max=30):
        """Nothing when it does not run. subprocess.TimeoutExpired when it outlives the signal, and then SIGKILL."""
        if self.is_running():
            self.process.send_signal(how)
            try:
                self.process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(seconds_max)
                raise

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        return self.process.pid

    def last_line(self):
        """Of its log; "" when that is empty."""
        return (self.log.read_text(errors="replace").splitlines() or [""])[-1]


def kill_now(pid):
    """kill -9; nothing when it is gone. ValueError for what is no pid of one process."""
    if not pid or pid < 2:
        raise ValueError(f"kill -9 {pid}: 0 and below mean a whole group of processes")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_alive(pid):
    """False also for a process that has ended and that nobody has waited for."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def pids_of(folder):
    """Other processes with `folder` in their command line."""
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


def is_left(folder):
    """A process has the folder in its command line, or a mount of ours is in it."""
    return bool(pids_of(folder)) or str(folder) in open("/proc/self/mounts").read()


def pss_kib(pid):
    """Memory of a process; a page that n processes share counts 1/n. OSError when it is gone."""
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


class Namespace:
    """A network namespace with loopback and no way out. RuntimeError when it has a default route. Needs root."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.call("ip", "link", "set", "lo", "up")
        if self.call("ip", "route", "show", "default").strip():
            raise RuntimeError(f"namespace {name} has a way out")

    def command(self, *command):
        """The words that run a command inside."""
        # Not `ip netns exec`: it remounts /sys, and the container runtime would not find its cgroups.
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def call(self, *command, **options):
        """As run(), inside."""
        return run(*self.command(*command), **options)

    def enter(self):
        """From now on this process, and what it starts, lives in it."""
        with open(f"/run/netns/{self.name}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"enter namespace {self.name}")

    def remove(self):
        """Nothing when it is gone. Processes in it go on."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


# -- hub and agent


def is_whole(line):
    """A line of the hub's ledger: every sequence number is there once and came in order."""
    return line["count"] == line["last"] - line["first"] + 1 and not line["out_of_order"]


class HubClient:
    """A hub's REST API with its policy's signature; connection_file: the hub's connection.json, which may come later.

    Errors, all of which until() takes for "not yet": OSError without an answer or file, KeyError and the like for an answer
    without what is asked.
    """

    def __init__(self, connection_file):
        self.connection_file = pathlib.Path(connection_file)

    def connection(self):
        return json.loads(self.connection_file.read_text())

    def token(self):
        return policy_token(self.connection()["connection_string"])

    def send(self, method, target, headers=None, raw=None):
        """(status, body as bytes, headers); `headers` may replace the signature."""
        known = self.connection()
        context = ssl.create_default_context(cafile=known["ca_pem_file"])
        link = http.client.HTTPSConnection(known["host"], known["https_port"], context=context, timeout=30)
        try:
            every = {"Authorization": policy_token(known["connection_string"]), **(headers or {})}
            link.request(method, target, raw, every)
            answer = link.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            link.close()

    def call(self, method, target, body=None, token=None):
        """(status, JSON or text). body: what JSON can hold; token: another signature than the policy's."""
        headers = {"Content-Type": "application/json", **({"Authorization": token} if token is not None else {})}
        status, raw, _ = self.send(method, target, headers, json.dumps(body).encode() if body is not None else None)
        text = raw.decode(errors="replace")
        return status, json.loads(text) if text[:1] in ("{", "[") else text

    def json(self, method, target, body=None):
        """The answer; also OSError for a status of 300 and above."""
        status, answer = self.call(method, target, body)
        if status >= 300:
            raise OSError(f"{method} {target}: {status} {str(answer)[:300]}")
        return answer

    def is_well(self):
        return self.call("GET", "/healthz")[0] == 200

    def make_device(self, device, is_edge=False):
        """The device's key."""
        return self.call("PUT", f"/devices/{device}?{API}", {
            "deviceId": device, "status": "enabled", "authentication": {"type": "sas"},
            "capabilities": {"iotEdge": is_edge}})[1]["authentication"]["symmetricKey"]["primaryKey"]

    def module_key(self, device, module):
        return self.json("GET", f"/devices/{device}/modules/{module}?{API}")["authentication"]["symmetricKey"]["primaryKey"]

    def deploy(self, device, manifest):
        """(status, answer) to a new manifest."""
        return self.call("POST", f"/devices/{device}/applyConfigurationContent?{API}", manifest)

    def reported(self, device, module="$edgeAgent"):
        return self.json("GET", f"/twins/{device}/modules/{urllib.parse.quote(module)}?{API}")["properties"]["reported"]

    def bodies(self, device, module=""):
        """The bodies of the messages that history holds, oldest first."""
        newest_first, before = [], ""
        for _ in range(PAGES_MAX):
            page = self.json("GET", f"/api/v1/events?device={device}&module={module}&limit={PAGE}{before}")
            newest_first += [event.get("body") for event in page["events"]]
            if "next" not in page:
                return newest_first[::-1]
            before = f"&before={page['next']}"
        raise OSError(f"history of {device}/{module} has no end after {PAGES_MAX} pages")

    def numbers(self, device, module=""):
        """Every "n" of those bodies."""
        return [body["n"] for body in self.bodies(device, module) if isinstance(body, dict)]

    def ledger(self, device="", module=""):
        """The lines, one per device, module and epoch; "" for all."""
        return self.json("GET", f"/api/v1/ledger?device={device}&module={module}")

    def is_whole(self, device, module=""):
        """Its ledger has lines, and all are whole."""
        lines = self.ledger(device, module)
        return bool(lines) and all(map(is_whole, lines))


class Hub(Program, HubClient):
    """verge-hub on HUB_MQTT, HUB_HTTPS and HUB_HTTP; home: an absolute path."""

    def __init__(self, programs, home, log):
        Program.__init__(self, [programs / "verge-hub", "--home", home, "--mqtt-port", HUB_MQTT, "--https-port", HUB_HTTPS,
                                "--http-port", HUB_HTTP], log)
        HubClient.__init__(self, pathlib.Path(home) / "connection.json")
        self.home = pathlib.Path(home)

    def start_and_wait(self):
        """True once it is well."""
        self.start()
        return until(self.is_well, 30)


class Agent(Program):
    """verge-agent for device "edge" of a Hub that runs; key: the device's.

    Without `settings` it has no container engine and its router on ROUTER, which must be an address of this network
    namespace: router, outbox and upstream need none. `settings` replaces whole members of agent.json.
    """

    def __init__(self, programs, home, log, hub, key, settings=None):
        super().__init__([programs / "verge-agent", "--home", home], log)
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "device.key").write_text(key)
        os.chmod(self.home / "device.key", 0o600)
        shutil.copy(hub.home / "ca.pem", self.home / "ca.pem")
        (self.home / "agent.json").write_text(json.dumps({
            "hub": {"host": "localhost", "mqtt_port": HUB_MQTT, "https_port": HUB_HTTPS, "ca_pem_file": "ca.pem"},
            "device": "edge", "key_file": "device.key", "engine": {"socket": str(self.home / "no-engine.sock")},
            "network": {"name": "none", "subnet": "172.31.94.0/24", "gateway": ROUTER}, **(settings or {})}))


def module_entry(image, options=None, environment=None):
    """A manifest's module. options: its createOptions, an object, or a text that goes as it is."""
    return {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
            "env": {name: {"value": value} for name, value in (environment or {}).items()},
            "settings": {"image": image, "createOptions": options if isinstance(options, str) else json.dumps(options or {})}}


def manifest(modules, routes=None):
    """modules: name -> module_entry; routes: name -> text, without them everything goes to the hub."""
    own = {"image": "verge-agent", "createOptions": "{}"}
    return {"modulesContent": {
        "$edgeAgent": {"properties.desired": {
            "schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": own},
                "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": own}},
            "modules": modules}},
        "$edgeHub": {"properties.desired": {
            "schemaVersion": "1.1", "routes": routes or {"up": "FROM /messages/* INTO $upstream"},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}}}}


# -- the container engine


class Engine:
    """The container API on a Unix socket. Its containers are told by their label verge.module."""

    def __init__(self, path):
        self.path = str(path)

    def call(self, method, target):
        """JSON, or bytes when it is none; OSError without an answer and for a status of 300 and above."""
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
            return json.loads(text) if text[:1] in (b"{", b"[") else text
        finally:
            connection.close()

    def containers(self):
        """Module -> row of the list, whether it runs or not."""
        rows = self.call("GET", "/containers/json?all=1")
        return {row["Labels"]["verge.module"]: row for row in rows if "verge.module" in (row["Labels"] or {})}

    def details(self, module):
        """All about a module's container. KeyError when there is none."""
        return self.call("GET", f"/containers/{self.containers()[module]['Id']}/json")

    def pid(self, module):
        """Of the module's process, or 0. Looked up in the process table too: an engine may believe the dead alive."""
        row = self.containers().get(module)
        state = self.call("GET", f"/containers/{row['Id']}/json")["State"] if row else {}
        return state["Pid"] if state.get("Running") and is_alive(state["Pid"]) else 0
