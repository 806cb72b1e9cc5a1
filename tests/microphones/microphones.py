"""Test microphones: real senders on loopback. Standard library only; each plays a tone, as fast as time, until it is told to stop."""
import http.server
import math
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cameras"))
from cameras import Camera, RtspCamera  # noqa: E402

RATE = 16_000
PIECE = 320  # Frames of 20 ms.


def tone(frames, at=0, hz=1000, order="<"):
    """16-bit samples, half of full scale: -9 dB."""
    return struct.pack(f"{order}{frames}h", *(round(16384 * math.sin(2 * math.pi * hz * (at + i) / RATE)) for i in range(frames)))


SECOND = {order: [tone(PIECE, at, order=order) for at in range(0, RATE, PIECE)] for order in "<>"}


def pace(begin, index):
    time.sleep(max(0.0, begin + index * PIECE / RATE - time.monotonic()))


class SoundCamera(RtspCamera):
    """The sound of a network camera: RTSP with L16. lose_every: one packet of so many stays away."""

    def __init__(self, port, lose_every=0, **options):
        self.lose_every = lose_every
        super().__init__(port, self, **options)

    @staticmethod
    def description():
        return (b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
                b"m=video 0 RTP/AVP 26\r\na=control:picture\r\n"
                b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/16000/1\r\na=control:sound\r\n")

    def send_film(self, connection, send, stop):
        begin, index = time.monotonic(), 0
        try:
            while not stop.is_set():
                pace(begin, index)
                if self.is_frozen():
                    time.sleep(0.05)
                    begin += 0.05
                    continue
                if not self.lose_every or index % self.lose_every != self.lose_every - 1:
                    send(rtp_packet(index))
                index += 1
        except OSError:
            pass
        finally:
            connection.close()


def rtp_packet(index):
    return struct.pack(">BBHII", 0x80, 97, index & 0xFFFF, index * PIECE & 0xFFFFFFFF, 0xBEE) + SECOND[">"][index % 50]


class StreamServer(Camera):
    """Samples over TCP to whoever connects."""

    def serve(self, connection):
        begin, index = time.monotonic(), 0
        while True:
            pace(begin, index)
            connection.sendall(SECOND["<"][index % 50])
            index += 1


class FileServer(Camera):
    """An internet stream: a file over HTTP, at the pace of its sound, again and again."""

    def __init__(self, port, file, seconds, **options):
        self.bytes, self.seconds = file.read_bytes(), seconds
        super().__init__(port, **options)

    def serve(self, connection):
        site = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "audio/mpeg")
                self.end_headers()
                begin, step, at = time.monotonic(), max(1, len(site.bytes) // int(site.seconds * 20)), 0
                while True:
                    time.sleep(max(0.0, begin + at / len(site.bytes) * site.seconds - time.monotonic()))
                    place = at % len(site.bytes)
                    self.wfile.write(site.bytes[place:place + step])
                    at += min(step, len(site.bytes) - place)

            def log_message(self, *words):
                pass

        Answer(connection, connection.getpeername(), None)


class Sender:
    """Keeps sending to `port` while it is not paused: datagrams, or over TCP with a token as its first line."""

    def __init__(self, port, way, token="", lose_every=0):
        self.port, self.way, self.token, self.lose_every = port, way, token, lose_every
        self.sent = self.lost = 0
        self.is_paused = self.is_over = False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.is_over:
            try:
                self.send()
            except OSError:
                time.sleep(0.1)  # Nobody listens yet, or any more.

    def send(self):
        is_tcp = self.way == "tcp"
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM) as line:
            line.connect(("127.0.0.1", self.port))
            if self.token:
                line.sendall(self.token.encode() + b"\n")
            begin, index = time.monotonic(), 0
            while not self.is_over:
                pace(begin, index)
                if self.is_paused:
                    if is_tcp:
                        return time.sleep(0.2)
                    time.sleep(0.05)
                    begin += 0.05
                    continue
                is_lost = self.lose_every and index % self.lose_every == self.lose_every - 1
                if is_lost:
                    self.lost += 1
                else:
                    line.sendall(rtp_packet(index) if self.way == "rtp" else SECOND["<"][index % 50])
                    self.sent += 1
                index += 1
