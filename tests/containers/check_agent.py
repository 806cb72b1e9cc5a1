"""Hub and agent with a real Podman: fetch, create, publish, kill, cut, restart, remove. See README.md.

    python3 tests/containers/check_agent.py FOLDER_WITH_PROGRAMS [--keep]

Prints one line per check and ends with a number other than 0 when one failed.
"""
import base64
import hmac
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

import python_image

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
HERE = pathlib.Path(__file__).resolve().parent
TAG = f"vt{os.getpid()}"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="verge-it-"))
SUBNET, GATEWAY = "172.31.91.0/24", "172.31.91.1"
MQTT, HTTPS, HTTP = 18883, 18443, 18080
IMAGE = f"localhost:{HTTPS}/test/module:1"
failures = []
started = {}


def sh(*arguments, **options):
    return subprocess.run(arguments, check=True, capture_output=True, text=True, **options).stdout


def inside(*arguments):
    return ("nsenter", f"--net=/run/netns/{TAG}", *arguments)


def start(name, *arguments, environment=None):
    log = open(WORK / f"{name}.log", "ab")
    process = subprocess.Popen(inside(*map(str, arguments)), stdout=log, stderr=log,
                               env={**os.environ, **(environment or {})})
    started[name] = process
    return process


def stop(name, how=signal.SIGTERM, seconds=20):
    process = started.pop(name, None)
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    process.wait(seconds)


def check(what, is_good, detail=""):
    print(f"{'ok  ' if is_good else 'FAIL'} {what} {detail}", flush=True)
    if not is_good:
        failures.append(what)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            value = None
        if value or time.monotonic() > end:
            return value
        time.sleep(0.2)


# -- the engine


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def engine(method, target, body=None):
    connection = UnixConnection(WORK / "engine.sock")
    connection.request(method, "/v1.41" + target, json.dumps(body) if body is not None else None,
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if raw and raw[:1] in b"[{" else raw


def containers():
    rows = engine("GET", "/containers/json?all=1")[1]
    return {row["Labels"]["verge.module"]: row for row in rows if "verge.module" in (row["Labels"] or {})}


def detail(module):
    return engine("GET", f"/containers/{containers()[module]['Id']}/json")[1]


def start_engine():
    (WORK / "containers.conf").write_text(f"""[containers]
default_ulimits = ["nofile=20000:20000","nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{WORK}/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{WORK}/networks"
""")
    (WORK / "storage.conf").write_text(f"""[storage]
driver = "overlay"
graphroot = "{WORK}/store"
runroot = "{WORK}/run"
""")
    start("engine", "podman", "system", "service", "--time=0", f"unix://{WORK}/engine.sock", environment=ENGINE)
    return until(lambda: engine("GET", "/version")[0] == 200, 20)


ENGINE = {"CONTAINERS_CONF": str(WORK / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(WORK / "storage.conf")}


# -- the hub, reached from outside its namespace by calling in it


def connection_file():
    return json.loads((WORK / "hub" / "connection.json").read_text())


def policy_token():
    parts = dict(item.split("=", 1) for item in connection_file()["connection_string"].split(";"))
    return sign(parts["HostName"], parts["SharedAccessKey"], parts["SharedAccessKeyName"])


def sign(resource, key, policy=None):
    resource, end = urllib.parse.quote(resource, safe=""), int(time.time()) + 3600
    digest = hmac.digest(base64.b64decode(key), f"{resource}\n{end}".encode(), "sha256")
    signature = urllib.parse.quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={end}" + (f"&skn={policy}" if policy else "")


class InNamespace:
    """Opens sockets in the test's network namespace."""

    def __enter__(self):
        self.own = os.open("/proc/self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{TAG}", os.O_RDONLY)
        setns(other)
        os.close(other)

    def __exit__(self, *_):
        setns(self.own)
        os.close(self.own)


def setns(descriptor):
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def hub(method, target, body=None, headers=None, raw=None):
    context = ssl.create_default_context(cafile=WORK / "hub" / "ca.pem")
    connection = http.client.HTTPSConnection("localhost", HTTPS, context=context, timeout=30)
    with InNamespace():
        connection.connect()
    data = raw if raw is not None else json.dumps(body) if body is not None else None
    every = {"Authorization": policy_token(), "Content-Type": "application/json", **(headers or {})}
    connection.request(method, target, data, every)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    value = json.loads(text) if text and text[:1] in b"[{" else text
    return answer.status, value, answer.headers


def start_hub():
    start("hub", PROGRAMS / "verge-hub", "--home", WORK / "hub", "--mqtt-port", MQTT, "--https-port", HTTPS, "--http-port",
          HTTP)
    return until(lambda: hub("GET", "/healthz")[0] == 200, 30)


def reported(module="$edgeAgent"):
    return hub("GET", f"/twins/dev/modules/{urllib.parse.quote(module)}?api-version=2021-04-12")[1]["properties"]["reported"]


def module_status(module):
    return reported()["modules"][module]["runtimeStatus"]


def ledger(module):
    lines = hub("GET", f"/api/v1/ledger?device=dev&module={module}")[1]
    lines = lines if isinstance(lines, list) else lines.get("ledger", [])
    return lines[-1] if lines else {"count": 0, "first": 0, "last": 0}


# -- the image: this machine's Python and what it needs, pushed to the hub's image store


def push_image():
    def call(method, target, headers, raw):
        return hub(method, target, headers=headers, raw=raw)

    return python_image.push(call, policy_token(), "test/module", "1", [HERE / "module.py"])


# -- the device


def manifest(modules, route="FROM /messages/* INTO $upstream"):
    routes = {"up": route,
              "across": 'FROM /messages/modules/a/outputs/* INTO BrokeredEndpoint("/modules/b/inputs/in")'}
    return {"modulesContent": {
        "$edgeAgent": {"properties.desired": {
            "schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "agent", "createOptions": "{}"}},
                "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always",
                            "settings": {"image": "hub", "createOptions": "{}"}}},
            "modules": modules}},
        "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": routes,
                                            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}}}}


def module(options=None, env=None, image=IMAGE):
    return {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
            "env": {name: {"value": value} for name, value in (env or {}).items()},
            "settings": {"image": image, "createOptions": json.dumps(options or {})}}


def deploy(content):
    return hub("POST", "/devices/dev/applyConfigurationContent?api-version=2021-04-12", content)[0] in (200, 204)


def make_device():
    status, device, _ = hub("PUT", "/devices/dev?api-version=2021-04-12",
                            {"deviceId": "dev", "status": "enabled", "authentication": {"type": "sas"},
                             "capabilities": {"iotEdge": True}})
    home = WORK / "agent"
    home.mkdir()
    (home / "device.key").write_text(device["authentication"]["symmetricKey"]["primaryKey"])
    os.chmod(home / "device.key", 0o600)
    shutil.copy(WORK / "hub" / "ca.pem", home / "ca.pem")
    (home / "agent.json").write_text(json.dumps({
        "hub": {"host": "localhost", "mqtt_port": MQTT, "https_port": HTTPS, "ca_pem_file": "ca.pem"},
        "device": "dev", "key_file": "device.key", "engine": {"socket": str(WORK / "engine.sock")},
        "network": {"name": f"net-{TAG}", "subnet": SUBNET, "gateway": GATEWAY}}))
    return status == 200


def start_agent():
    start("agent", PROGRAMS / "verge-agent", "--home", WORK / "agent")


def memory_kib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def is_whole(module):
    line = ledger(module)
    return line["count"] > 0 and line["count"] == line["last"] - line["first"] + 1 and not line["out_of_order"]


def grows(module, by, seconds=60):
    begin = ledger(module)["count"]
    return until(lambda: ledger(module)["count"] >= begin + by, seconds)


def run():
    sh("ip", "netns", "add", TAG)
    sh(*inside("ip", "link", "set", "lo", "up"))
    check("the engine answers", start_engine())
    check("the hub answers", start_hub())
    size = push_image()
    check("the image is in the hub's store", size > 0, f"{size >> 10} KiB")
    check("the device is registered", make_device())
    preflight = subprocess.run(inside(str(PROGRAMS / "verge-agent"), "--home", str(WORK / "agent"), "--check"),
                               capture_output=True, text=True)
    check("preflight", preflight.returncode == 0, "\n" + preflight.stdout.rstrip())

    two = {"a": module(), "b": module(env={"RATE_HZ": "10"})}
    check("deployed", deploy(manifest(two)))
    begin = time.monotonic()
    start_agent()
    check("both modules run", until(lambda: module_status("a") == module_status("b") == "running", 120),
          f"{time.monotonic() - begin:.1f} s after the agent's start")
    host = detail("a")["HostConfig"]
    check("read-only, no capabilities, limits", host["ReadonlyRootfs"] and host["PidsLimit"] == 256 and
          host["Memory"] == 512 << 20 and detail("a")["Config"]["User"] == "1000:1000", f"{host['CapDrop']}")
    check("messages reach the hub", grows("a", 100))
    log = engine("GET", f"/containers/{containers()['b']['Id']}/logs?stdout=1&tail=100")[1]
    check("the other module gets its input", until(lambda: b"inputs" in engine(
        "GET", f"/containers/{containers()['b']['Id']}/logs?stdout=1&tail=200")[1], 30), "")
    check("modules are not root", b'"uid": 1000' in engine(
        "GET", f"/containers/{containers()['b']['Id']}/logs?stdout=1")[1])
    status, answer, _ = hub("POST", "/twins/dev/modules/%24edgeAgent/methods?api-version=2021-04-12",
                            {"methodName": "GetModuleLogs", "responseTimeoutInSeconds": 30,
                             "payload": {"schemaVersion": "1.0", "items": [{"id": "a", "filter": {"tail": 2}}],
                                         "encoding": "none", "contentType": "text"}})
    check("GetModuleLogs", status == 200 and answer["status"] == 200 and answer["payload"][0]["id"] == "a")

    ids = {name: row["Id"] for name, row in containers().items()}
    for round_number in range(5):
        time.sleep(random.uniform(0.2, 1.5))
        stop("agent", signal.SIGKILL)
        start_agent()
    check("after five kill -9 of the agent messages flow", grows("a", 100))
    check("nothing was re-created", ids == {name: row["Id"] for name, row in containers().items()})
    check("a: every number once, in order", until(lambda: is_whole("a"), 20), str(ledger("a")))
    check("b: every number once, in order", until(lambda: is_whole("b"), 20), str(ledger("b")))

    os.kill(detail("a")["State"]["Pid"], signal.SIGKILL)
    begin = time.monotonic()
    check("a killed module comes back", until(lambda: not detail("a")["State"]["Running"], 10) is not None and
          until(lambda: detail("a")["State"]["Running"], 40), f"{time.monotonic() - begin:.1f} s")
    check("and publishes", grows("a", 50))

    state = detail("a")["State"]
    monitor = int(sh("ps", "-o", "ppid=", "-p", str(state["Pid"])).strip())
    os.kill(monitor, signal.SIGKILL)
    time.sleep(0.5)
    os.kill(state["Pid"], signal.SIGKILL)
    time.sleep(1)
    check("the engine lies about a module whose monitor died", detail("a")["State"]["Running"])
    check("the agent does not believe it", until(lambda: detail("a")["State"]["Pid"] != state["Pid"] and
                                                 detail("a")["State"]["Running"], 90))
    check("and it publishes again", grows("a", 50))

    stop("hub", signal.SIGKILL)
    time.sleep(8)
    stop("agent", signal.SIGKILL)
    start_agent()
    time.sleep(2)
    victim = containers()["b"]["Id"]
    engine("DELETE", f"/containers/{victim}?force=1")
    check("without its hub a removed module is made again", until(
        lambda: containers()["b"]["Id"] != victim and containers()["b"]["State"] == "running", 60))
    before_return = time.monotonic()
    check("the hub is back", start_hub())
    check("the backlog arrives whole (a)", grows("a", 200) and until(lambda: is_whole("a"), 60), str(ledger("a")))
    check("the backlog arrives whole (b)", until(lambda: is_whole("b"), 60),
          f"{ledger('b')} {time.monotonic() - before_return:.1f} s")

    stop("engine", signal.SIGKILL)
    time.sleep(1)
    check("the engine's service is back", start_engine() and until(lambda: module_status("a") == "running", 30))

    bad = {"a": module(), "b": {**module(), "settings": {"image": IMAGE, "createOptions": "{broken"}}}
    ids = {name: row["Id"] for name, row in containers().items()}
    deploy(manifest(bad))
    check("broken createOptions are reported with 400", until(lambda: reported()["lastDesiredStatus"]["code"] == 400, 30),
          reported()["lastDesiredStatus"]["description"][:80])
    check("and the old set runs on", ids == {name: row["Id"] for name, row in containers().items()} and grows("a", 20))
    deploy(manifest({"a": module(), "b": module({"HostConfig": {"Ulimits": "nonsense"}})}))
    check("createOptions that the engine refuses are reported with 500",
          until(lambda: reported()["lastDesiredStatus"]["code"] == 500, 30))
    check("and the old container runs on", containers()["b"]["Id"] == ids["b"] and containers()["b"]["State"] == "running")
    deploy(manifest(two, "FROM /messages/* INTO nowhere"))
    check("a bad route is reported with 400", until(lambda: reported("$edgeHub")["lastDesiredStatus"]["code"] == 400, 30))
    check("and the old routes stay", grows("a", 20))

    deploy(manifest({"b": module(env={"RATE_HZ": "20"})}))
    check("a dropped module is removed, a changed one replaced", until(
        lambda: set(containers()) == {"b"} and containers()["b"]["Id"] != ids["b"] and
        containers()["b"]["State"] == "running" and "a" not in reported()["modules"], 60))
    check("and the changed one publishes", grows("b", 20))
    time.sleep(2)
    # Started through nsenter, which becomes the program.
    print(f"     agent PSS {memory_kib(started['agent'].pid)} KiB, hub PSS {memory_kib(started['hub'].pid)} KiB")

    stop("agent")
    check("modules outlive the agent", containers()["b"]["State"] == "running")
    removed = subprocess.run(inside(str(PROGRAMS / "verge-agent"), "--home", str(WORK / "agent"), "--remove-all"))
    networks = [row["Name"] for row in engine("GET", "/networks")[1]]
    check("--remove-all leaves nothing", removed.returncode == 0 and not containers() and f"net-{TAG}" not in networks)


def clean_up():
    stop("agent", signal.SIGKILL)
    try:
        for row in engine("GET", "/containers/json?all=1")[1]:
            for _ in range(2):
                engine("DELETE", f"/containers/{row['Id']}?force=1")
        engine("DELETE", f"/networks/net-{TAG}")
    except (OSError, http.client.HTTPException):
        pass
    for name in list(started):
        stop(name, signal.SIGKILL)
    subprocess.run(["umount", "-l", str(WORK / "store" / "overlay")], capture_output=True)
    subprocess.run(["ip", "netns", "del", TAG], capture_output=True)
    if "--keep" not in sys.argv:
        shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    try:
        run()
    finally:
        if failures:
            print(f"logs: {WORK}")
            sys.argv.append("--keep")
        clean_up()
    print(f"{len(failures)} failed")
    sys.exit(1 if failures else 0)
