"""What the tests of this folder share: a small MQTT peer of hub and router, and the manifest.

A "module" here is a peer that signs with the module's key: the agent has no container engine.
"""
import json
import pathlib
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import testkit
from mqtt_packets import mqtt_text, packet, take_packet
from testkit import API, sign

MESSAGE_BYTES_MAX = 262144


def manifest(route="FROM /messages/* INTO $upstream", options="{}"):
    """Modules m and n and one route. options: the text of their createOptions."""
    module = testkit.module_entry("nowhere/m:1", options)
    return testkit.manifest({"m": module, "n": module}, {"up": route})


def connect_packet(client, user, password, keep_alive_s=60):
    return packet(0x10, mqtt_text("MQTT") + b"\x04\xc2" + struct.pack(">H", keep_alive_s) + mqtt_text(client) +
                  mqtt_text(user) + mqtt_text(password))


class Peer:
    """One TLS connection to hub or router; MQTT when `identity` ("d" or "d/m") signs in."""

    def __init__(self, host, port, identity=None, key=None):
        raw = socket.create_connection((host, port), 10)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(raw, server_hostname=host)
        self.buffer = b""
        self.is_closed = False
        self.code = None
        if identity is not None:
            device, _, module = identity.partition("/")
            resource = f"localhost/devices/{device}" + (f"/modules/{module}" if module else "")
            self.topic = f"devices/{device}" + (f"/modules/{module}" if module else "") + "/messages/events/"
            self.send(connect_packet(identity, f"localhost/{identity}/?{API}", sign(resource, key)))
            first, body = self.read(40)
            self.code = body[1] if first == 0x20 else None

    def send(self, data):
        try:
            self.socket.settimeout(40)
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self.is_closed = True

    def read(self, seconds):
        """(first byte, body) of the next packet; (None, None) after `seconds` or at the end."""
        end = time.monotonic() + seconds
        while not self.is_closed:
            whole = take_packet(self.buffer)
            if whole:
                first, body, self.buffer = whole
                return first, body
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

    def closes(self, seconds=60):
        """True when the other side ends the connection."""
        end = time.monotonic() + seconds
        while not self.is_closed and time.monotonic() < end:
            self.read(0.2)
        return self.is_closed

    def publish(self, body, identifier=1, properties="", seconds=40):
        """True when the other side acknowledged it."""
        self.send(packet(0x32, mqtt_text(self.topic + properties) + struct.pack(">H", identifier) + body))
        end = time.monotonic() + seconds
        while not self.is_closed and time.monotonic() < end:
            first, answer = self.read(max(0.01, end - time.monotonic()))
            if first == 0x40 and struct.unpack(">H", answer)[0] == identifier:
                return True
        return False

    def say(self, number, seconds=40, padding=0):
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
