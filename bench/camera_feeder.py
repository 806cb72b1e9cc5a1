"""Many RTSP cameras in one process, as cheap as Python can: every picture is one write of packets prepared before.

    camera_feeder.py PLAN        a JSON list of {"port", "fps", "lead": [H.264 file, pictures], "script": [[H.264 file, pictures]],
                                 "begin": picture of the script}

A camera plays its lead once and then its script in a loop, from `begin` on, whoever connects and when: what it shows is
ruled by the clock. Prints "ready", then answers every line on the standard input with {port: {"due": n, "sent": n}}, pictures so far, by the clock
and written, of the cameras that somebody watches.
"""
import json
import pathlib
import re
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "cameras"))
from cameras import H264Film, RtspCamera, rtp_packets

HEADER = 4  # Of interleaved RTP, RFC 2326 section 10.12.


class ReadyFilm:
    """An H.264 film of which each picture is one piece of bytes, and where its RTP headers begin."""

    def __init__(self, path, fps):
        film = H264Film(path, fps)
        # Without the sound that the test cameras offer, too: who sets it up as well would be told the same channel twice.
        self.description = re.sub(rb"m=audio.*?(?=m=video)", b"", film.description(), flags=re.S)
        self.places, self.pictures = film.places, []
        for picture in film.pictures:
            packets = rtp_packets(film, film.units_of(picture), 0, 0)
            heads = [HEADER]
            for packet in packets[:-1]:
                heads.append(heads[-1] + len(packet) + HEADER)
            self.pictures.append((b"".join(b"$\0" + struct.pack(">H", len(packet)) + packet for packet in packets), heads))


class Script:
    """So many pictures of each film, one film after the other; they have one size and begin with a key picture."""

    def __init__(self, lead, parts, begin, fps):
        self.fps, self.description, self.begin = fps, lambda: lead[0].description, begin
        self.lead, self.pictures = self.sequence([lead]), self.sequence(parts)

    @staticmethod
    def sequence(parts):
        """Of each picture the film, its index there, and by how much it is shown later than it comes."""
        return [(film, i % len(film.pictures), film.places[i % len(film.pictures)] - i % len(film.pictures))
                for film, count in parts for i in range(count)]

    def picture(self, index):
        """Its bytes, where its RTP headers are, and its place in the order in which pictures are shown."""
        is_lead = index < len(self.lead)
        film, own, later = self.lead[index] if is_lead else self.pictures[(index - len(self.lead) + self.begin) % len(self.pictures)]
        return *film.pictures[own], index + later

    def is_key(self, index):
        data, heads, _ = self.picture(index)
        kind = data[heads[0] + 12] & 31
        return kind in (5, 7) or (kind == 28 and data[heads[0] + 13] & 31 == 5)


class ScriptCamera(RtspCamera):
    def __init__(self, port, script, started):
        self.started, self.first, self.sent = started, None, 0
        super().__init__(port, script)

    @staticmethod
    def transport(connection, lock, head):
        def send(data):
            with lock:
                connection.sendall(data)
        return send, "RTP/AVP/TCP;unicast;interleaved=0-1"

    def index(self):
        return int((time.monotonic() - self.started) * self.film.fps)

    def send_film(self, connection, send, stop):
        script, sequence, index = self.film, 0, self.index()
        while not script.is_key(index):
            index += 1
        self.first, self.sent = index, 0
        try:
            while not stop.is_set():
                time.sleep(max(0.0, self.started + index / script.fps - time.monotonic()))
                data, heads, place = script.picture(index)
                data, stamp = bytearray(data), place * 90_000 // script.fps & 0xFFFFFFFF
                for i, head in enumerate(heads):
                    struct.pack_into(">HI", data, head + 2, sequence + i & 0xFFFF, stamp)
                send(data)
                sequence += len(heads)
                index += 1
                self.sent += 1
        except OSError:
            pass
        finally:
            connection.close()

    def counts(self):
        due = 0 if self.first is None else max(0, self.index() - self.first + 1)
        return {"due": due, "sent": self.sent}


def main():
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    films = {(path, camera["fps"]): None for camera in plan for path, _ in (camera["lead"], *camera["script"])}
    films = {key: ReadyFilm(pathlib.Path(key[0]), key[1]) for key in films}
    started = time.monotonic()
    threading.stack_size(256 * 1024)
    cameras = []
    for camera in plan:
        lead, *parts = [(films[path, camera["fps"]], count) for path, count in (camera["lead"], *camera["script"])]
        cameras.append(ScriptCamera(camera["port"], Script(lead, parts, camera["begin"], camera["fps"]), started))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps({camera.port: camera.counts() for camera in cameras}), flush=True)


if __name__ == "__main__":
    main()
