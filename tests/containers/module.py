"""A small edge module: signs in through the workload socket, publishes a counter, acknowledges inputs.

Standard library and mqtt_packets.py only; runs read-only and as any user. Prints what it sees, one JSON object per line.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import struct
import sys
import time
import urllib.parse

from mqtt_packets import mqtt_text, packet, take_packet

DEVICE = os.environ["IOTEDGE_DEVICEID"]
MODULE = os.environ["IOTEDGE_MODULEID"]
GENERATION = os.environ["IOTEDGE_MODULEGENERATIONID"]
HUB = os.environ["IOTEDGE_IOTHUBHOSTNAME"]
GATEWAY = os.environ["IOTEDGE_GATEWAYHOSTNAME"]
SOCKET = os.environ["IOTEDGE_WORKLOADURI"][len("unix://"):]
RATE_HZ = float(os.environ.get("RATE_HZ", "50"))
WINDOW = 32


class Workload(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("workload")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


def workload(method, path, body=None):
    connection = Workload()
    connection.request(method, path + "?api-version=2021-12-07", json.dumps(body) if body else None)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise OSError(f"workload {path}: {answer.status} {text[:200]}")
    return json.loads(text)


def token():
    resource = urllib.parse.quote(f"{HUB}/devices/{DEVICE}/modules/{MODULE}", safe="")
    end = int(time.time()) + 3600
    data = base64.b64encode(f"{resource}\n{end}".encode()).decode()
    answer = workload("POST", f"/modules/{MODULE}/genid/{GENERATION}/sign",
                      {"keyId": "primary", "algo": "HMACSHA256", "data": data})
    return f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(answer['digest'], safe='')}&se={end}"


class Link:
    """One MQTT connection."""

    def __init__(self):
        context = ssl.create_default_context(cadata=workload("GET", "/trust-bundle")["certificate"])
        self.socket = context.wrap_socket(socket.create_connection((GATEWAY, 8883), 10), server_hostname=GATEWAY)
        self.buffer = b""
        name = f"{HUB}/{DEVICE}/{MODULE}/?api-version=2021-04-12"
        self.socket.sendall(packet(0x10, mqtt_text("MQTT") + b"\x04\xc0\x00\x3c" + mqtt_text(f"{DEVICE}/{MODULE}") +
                                   mqtt_text(name) + mqtt_text(token())))
        kind, body = self.read(10)
        if kind != 0x20 or body[1] != 0:
            raise OSError(f"refused: {body!r}")
        self.socket.sendall(packet(0x82, b"\x00\x01" + mqtt_text(f"devices/{DEVICE}/modules/{MODULE}/inputs/#") + b"\x01"))

    def read(self, timeout):
        """(first byte, body) of the next packet, or (None, None) after `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            whole = take_packet(self.buffer)
            if whole:
                kind, body, self.buffer = whole
                return kind, body
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                piece = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                if time.monotonic() >= end:
                    return None, None
                continue
            if not piece:
                raise OSError("closed")
            self.buffer += piece

    def publish(self, number, identifier, again):
        topic = f"devices/{DEVICE}/modules/{MODULE}/messages/events/%24.on=out&n={number}"
        body = mqtt_text(topic) + struct.pack(">H", identifier) + json.dumps({"n": number}).encode()
        self.socket.sendall(packet(0x3A if again else 0x32, body))


def say(**what):
    print(json.dumps(what), flush=True)


def run(state):
    link = Link()
    say(connected=True, uid=os.getuid())
    for number in sorted(state["open"]):
        link.publish(number, number % 65535 + 1, True)
    due = time.monotonic()
    while True:
        if time.monotonic() >= due and len(state["open"]) < WINDOW:
            state["next"] += 1
            state["open"].add(state["next"])
            link.publish(state["next"], state["next"] % 65535 + 1, False)
            due = max(due + 1 / RATE_HZ, time.monotonic() - 0.1)
        kind, body = link.read(max(0.0, min(0.02, due - time.monotonic())))
        if kind is None:
            continue
        if kind == 0x40:
            identifier = struct.unpack(">H", body)[0]
            for number in [n for n in state["open"] if n % 65535 + 1 == identifier]:
                state["open"].discard(number)
                state["acknowledged"] = max(state["acknowledged"], number)
                if number % 50 == 0:
                    say(acknowledged=number)
        elif kind & 0xF0 == 0x30:
            length = struct.unpack(">H", body[:2])[0]
            if kind & 0x06:
                link.socket.sendall(packet(0x40, body[2 + length:4 + length]))
            state["inputs"] += 1
            if state["inputs"] % 50 == 0:
                say(inputs=state["inputs"])


def main():
    if "--check-isolation" in sys.argv:
        try:
            open("/written", "w").close()
            say(root_writable=True)
        except OSError:
            say(root_writable=False)
    state = {"next": 0, "open": set(), "acknowledged": 0, "inputs": 0}
    while True:
        try:
            run(state)
        except (OSError, http.client.HTTPException) as problem:
            say(problem=str(problem)[:200])
            time.sleep(0.2)


if __name__ == "__main__":
    main()
