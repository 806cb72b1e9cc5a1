"""A module under load: numbers its messages, and writes down each number that the router has acknowledged.

/ledger is a folder of the host. Every start of the process makes a new file MODULE-RUN in it; a number is appended, as
text, when its PUBACK came. What was written survives a kill -9 of this process. Messages carry a message id and are
sent again with DUP after a reconnect, as every MQTT client does. A file /ledger/stop ends the load: once nothing is
open any more, MODULE-RUN.quiet appears. Standard library only, beside module.py, whose connection it uses, and
mqtt_packets.py.
"""
import http.client
import json
import os
import struct
import time

from module import DEVICE, MODULE, Link
from mqtt_packets import mqtt_text, packet

LEDGER = "/ledger"
RATE_HZ = float(os.environ.get("RATE_HZ", "150"))
WINDOW = 32
FILLER = "x" * 100


class Run:
    """One life of the process."""

    def __init__(self):
        known = [int(name.split("-")[1]) for name in os.listdir(LEDGER)
                 if name.startswith(MODULE + "-") and not name.endswith(".quiet")]
        self.number = max(known, default=0) + 1
        self.path = f"{LEDGER}/{MODULE}-{self.number}"
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self.last = 0
        self.open = {}  # packet identifier -> number, in the order of sending

    def packet_for(self, number, again):
        identifier = number % 60000 + 1
        topic = f"devices/{DEVICE}/modules/{MODULE}/messages/events/%24.on=out&%24.mid={self.number}-{number}"
        body = json.dumps({"run": self.number, "n": number, "filler": FILLER}).encode()
        return packet(0x3A if again else 0x32, mqtt_text(topic) + struct.pack(">H", identifier) + body)

    def next_packet(self):
        self.last += 1
        self.open[self.last % 60000 + 1] = self.last
        return self.packet_for(self.last, False)

    def acknowledge(self, identifiers):
        numbers = [self.open.pop(identifier) for identifier in identifiers if identifier in self.open]
        if numbers:
            os.write(self.file, "".join(f"{number}\n" for number in numbers).encode())


def serve(run):
    """One connection, until it breaks."""
    link = Link()
    link.socket.sendall(b"".join(run.packet_for(number, True) for number in run.open.values()))
    due = time.monotonic()
    is_stopped, look_at = False, 0.0
    while True:
        now = time.monotonic()
        if now >= look_at:
            is_stopped, look_at = os.path.exists(LEDGER + "/stop"), now + 0.2
        if is_stopped and not run.open:
            open(run.path + ".quiet", "w").close()
            time.sleep(1)
            continue
        batch = b""
        while not is_stopped and now >= due and len(run.open) < WINDOW:
            batch += run.next_packet()
            due += 1 / RATE_HZ
        # What a full window held up is not made good for more than a moment.
        due = max(due, now - 0.2)
        if batch:
            link.socket.sendall(batch)
        acknowledged = []
        kind, body = link.read(max(0.001, min(0.05, due - now)))
        while kind is not None:
            if kind == 0x40:
                acknowledged.append(struct.unpack(">H", body)[0])
            kind, body = link.read(0) if len(link.buffer) > 3 else (None, None)
        run.acknowledge(acknowledged)


def main():
    run = Run()
    while True:
        try:
            serve(run)
        except (OSError, http.client.HTTPException) as problem:
            print(f"run {run.number}: {problem}"[:300], flush=True)
            time.sleep(0.2)


main()
