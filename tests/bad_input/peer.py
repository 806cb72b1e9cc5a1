"""What the tests of this folder share: a hub and an agent of their own, REST with a signature, a small MQTT peer.

Standard library only, so that hub and router are judged by something that shares no code with them. The agent has no
container engine: its router, outbox and upstream need none. A "module" here is a peer that signs with the module's key.
"""
import base64
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
import urllib.parse

HUB_MQTT, HUB_HTTPS, HUB_HTTP = 18883, 18443, 18080
ROUTER = "172.31.94.1"
API = "api-version=2021-04-12"
MESSAGE_BYTES_MAX = 262144


class Verdicts:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, is_good, detail=""):
        print(f"{'ok     ' if is_good else 'FAILED '} {what}{': ' if detail else ''}{detail}", flush=True)
        if is_good:
            self.passed += 1
        else:
            self.failed += 1
        return bool(is_good)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 else 1


def until(condition, seconds=20):
    """The condition's first true value, or what it was at the end; what it throws while things start counts as no."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            value = None
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


def sign(resource, key, policy=None, seconds=3600):
    resource, end = urllib.parse.quote(resource, safe=""), int(time.time()) + seconds
    digest = hmac.digest(base64.b64decode(key), f"{resource}\n{end}".encode(), "sha256")
    signature = urllib.parse.quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={end}" + (f"&skn={policy}" if policy else "")


class Program:
    """A running program, its log, and its end by the pid that we started."""

    def __init__(self, words, log, environment=None):
        self.words, self.log, self.environment = [str(word) for word in words], pathlib.Path(log), environment or {}
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, env={**os.environ, **self.environment})

    def stop(self, how=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        return self.process.pid

    def said(self, text):
        return text in self.log.read_text(errors="replace")


class Hub(Program):
    def __init__(self, programs, home, log):
        super().__init__([programs / "verge-hub", "--home", home, "--mqtt-port", HUB_MQTT, "--https-port", HUB_HTTPS,
                          "--http-port", HUB_HTTP], log)
        self.home = pathlib.Path(home)

    def start_and_wait(self):
        self.start()
        return until(lambda: self.call("GET", "/healthz")[0] == 200, 30)

    def call(self, method, target, body=None, token=None):
        """(status, JSON or text)"""
        if token is None:
            connection = json.loads((self.home / "connection.json").read_text())
            parts = dict(item.split("=", 1) for item in connection["connection_string"].split(";"))
            token = sign(parts["HostName"], parts["SharedAccessKey"], parts["SharedAccessKeyName"])
        context = ssl.create_default_context(cafile=str(self.home / "ca.pem"))
        link = http.client.HTTPSConnection("localhost", HUB_HTTPS, context=context, timeout=15)
        try:
            link.request(method, target, json.dumps(body) if body is not None else None,
                         {"Authorization": token, "Content-Type": "application/json"})
            answer = link.getresponse()
            text = answer.read().decode(errors="replace")
            return answer.status, json.loads(text) if text[:1] in ("{", "[") else text
        finally:
            link.close()

    def make_device(self, device, is_edge=False):
        """The device's key."""
        return self.call("PUT", f"/devices/{device}?{API}", {
            "deviceId": device, "status": "enabled", "authentication": {"type": "sas"},
            "capabilities": {"iotEdge": is_edge}})[1]["authentication"]["symmetricKey"]["primaryKey"]

    def module_key(self, device, module):
        return self.call("GET", f"/devices/{device}/modules/{module}?{API}")[1]["authentication"]["symmetricKey"][
            "primaryKey"]

    def reported(self, device, module):
        return self.call("GET", f"/twins/{device}/modules/{urllib.parse.quote(module)}?{API}")[1]["properties"]["reported"]

    def numbers(self, device, module=""):
        """Every "n" of the messages that history holds, oldest first."""
        found, before = [], ""
        for _ in range(1000):
            page = self.call("GET", f"/api/v1/events?device={device}&module={module}&limit=1000{before}")[1]
            found += [event["body"]["n"] for event in page["events"] if isinstance(event.get("body"), dict)]
            if "next" not in page:
                break
            before = f"&before={page['next']}"
        return found[::-1]

    def is_whole(self, device, module=""):
        """Every sequence number once, in order; and some."""
        lines = [line for line in self.call("GET", f"/api/v1/ledger?device={device}&module={module}")[1]]
        return bool(lines) and all(line["count"] == line["last"] - line["first"] + 1 and not line["out_of_order"]
                                   for line in lines)


class Agent(Program):
    """verge-agent for device "edge" with its router on ROUTER, which must be an address of this network namespace."""

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


def manifest(route="FROM /messages/* INTO $upstream", options="{}"):
    module = {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
              "settings": {"image": "nowhere/m:1", "createOptions": options}}
    return {"modulesContent": {
        "$edgeAgent": {"properties.desired": {
            "schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "agent", "createOptions": "{}"}},
                "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always",
                            "settings": {"image": "hub", "createOptions": "{}"}}},
            "modules": {"m": module, "n": module}}},
        "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {"up": route},
                                            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}}}}


# -- MQTT


def mqtt_text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def connect_packet(client, user, password, keep_alive_s=60):
    return packet(0x10, mqtt_text("MQTT") + b"\x04\xc2" + struct.pack(">H", keep_alive_s) + mqtt_text(client) +
                  mqtt_text(user) + mqtt_text(password))


class Peer:
    """One TLS connection to hub or router; MQTT when `identity` ("d" or "d/m") signs in."""

    def __init__(self, host, port, identity=None, key=None, is_plain=False):
        raw = socket.create_connection((host, port), 10)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = raw if is_plain else context.wrap_socket(raw, server_hostname=host)
        self.buffer = b""
        self.is_closed = False
        self.code = None
        if identity is not None:
            device, _, module = identity.partition("/")
            resource = f"localhost/devices/{device}" + (f"/modules/{module}" if module else "")
            self.topic = f"devices/{device}" + (f"/modules/{module}" if module else "") + "/messages/events/"
            self.send(connect_packet(identity, f"localhost/{identity}/?{API}", sign(resource, key)))
            first, body = self.read(10)
            self.code = body[1] if first == 0x20 else None

    def send(self, data):
        try:
            self.socket.settimeout(10)
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self.is_closed = True

    def read(self, seconds):
        """(first byte, body) of the next packet; (None, None) after `seconds` or at the end."""
        end = time.monotonic() + seconds
        while not self.is_closed:
            for digits in range(1, 5):
                if len(self.buffer) > digits and self.buffer[digits] < 0x80:
                    size = sum((self.buffer[1 + i] & 0x7F) << (7 * i) for i in range(digits))
                    if len(self.buffer) >= 1 + digits + size:
                        first, body = self.buffer[0], self.buffer[1 + digits:1 + digits + size]
                        self.buffer = self.buffer[1 + digits + size:]
                        return first, body
                    break
            if time.monotonic() >= end:
                return None, None
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                piece = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError:
                piece = b""
            self.is_closed = not piece
            self.buffer += piece
        return None, None

    def closes(self, seconds=15):
        """True when the other side ends the connection."""
        end = time.monotonic() + seconds
        while not self.is_closed and time.monotonic() < end:
            self.read(0.2)
        return self.is_closed

    def publish(self, body, identifier=1, properties="", seconds=10):
        """True when the other side acknowledged it."""
        self.send(packet(0x32, mqtt_text(self.topic + properties) + struct.pack(">H", identifier) + body))
        end = time.monotonic() + seconds
        while not self.is_closed and time.monotonic() < end:
            first, answer = self.read(max(0.01, end - time.monotonic()))
            if first == 0x40 and struct.unpack(">H", answer)[0] == identifier:
                return True
        return False

    def say(self, number, seconds=10, padding=0):
        """Publishes {"n": number}, numbered for the hub's ledger when we are a plain device."""
        properties = "" if "/modules/" in self.topic else f"verge-epoch=e&verge-seq={number}"
        body = json.dumps({"n": number, "padding": "x" * padding}).encode()
        return self.publish(body, number % 65535 + 1, properties, seconds)

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass
        self.is_closed = True


def pss_kib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
