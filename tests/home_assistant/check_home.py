#!/usr/bin/env python3
"""verge-infer with the pipeline of docs/home_assistant.md, and Mosquitto.

    tests/home_assistant/check_home.py FOLDER_WITH_PROGRAMS CACHE MOSQUITTO     (run.sh calls it, in a namespace)
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import Program, Verdicts, run, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT, TLS_PORT = 18830, 18831
PASSWORD = "s3cret/w:rd @#1"  # Needs encoding in a URL.
OURS = "verge/verge"
GATE = f"{OURS}/gate"


class Broker(Program):
    """Mosquitto with one user and no memory beyond its life, plain and with TLS."""

    def __init__(self, program, folder):
        run(program.with_name("mosquitto_passwd"), "-c", "-b", folder / "users", "verge", PASSWORD)
        self.make_certificate(folder)
        (folder / "mosquitto.conf").write_text(
            f"user root\npersistence false\nallow_anonymous false\npassword_file {folder}/users\nlistener {PORT} 127.0.0.1\n"
            f"listener {TLS_PORT} 127.0.0.1\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n")
        super().__init__([program, "-c", folder / "mosquitto.conf"], folder / "mosquitto.log")

    @staticmethod
    def make_certificate(folder):
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("openssl", "req", "-x509", *ec, "-days", "2", "-subj", "/CN=house", "-keyout", folder / "ca.key", "-out",
            folder / "ca.pem")
        run("openssl", "req", *ec, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
            folder / "broker.key", "-out", folder / "broker.csr")
        run("openssl", "x509", "-req", "-in", folder / "broker.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-copy_extensions", "copy", "-days", "2", "-out", folder / "broker.pem")


class Reader:
    """What a subscriber gets: `kept`, the last value of each topic, and `heard`, [(topic, payload)] in order."""

    def __init__(self, *topics):
        words = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(PORT), "-u", "verge", "-P", PASSWORD, "-q", "1", "-F", "%t %r %x"]
        for topic in topics:
            words += ["-t", topic]
        self.kept, self.heard, self.retained = {}, [], set()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            topic, is_retained, *payload = line.rstrip("\n").split(" ")
            payload = bytes.fromhex("".join(payload))
            self.kept[topic] = payload
            self.heard.append((topic, payload))
            if is_retained == "1":
                self.retained.add(topic)

    def text(self, topic):
        return self.kept.get(topic, b"").decode(errors="replace")

    def values(self, topic):
        return [payload.decode(errors="replace") for heard, payload in list(self.heard) if heard == topic]

    def messages(self, topic):
        return [json.loads(text) for text in self.values(topic)]

    def entities(self):
        return {topic: json.loads(payload) for topic, payload in dict(self.kept).items()
                if topic.startswith("homeassistant/") and payload}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:  # mosquitto_sub disconnects inside its signal handler, which now and then waits for itself.
            self.process.kill()
            self.process.wait(60)
        self.thread.join(60)


def pipeline_of(guide, url=f"mqtt://verge:${{MQTT_PASSWORD}}@127.0.0.1:{PORT}", more=""):
    """The guide's pipeline, with the film for its camera and the test's broker for the user's."""
    text = re.search(r"```yaml\n(.*?)```", guide, re.S).group(1)
    replaced = [("rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@camera-3.lan/stream1", "film.avi"),
                ("fps: 4}", "fps: 4, loop: true}"), ("mqtt://verge:${MQTT_PASSWORD}@broker.lan:1883\"", f"{url}\"{more}")]
    for before, after in replaced:
        if before not in text:
            raise ValueError(f"docs/home_assistant.md no longer holds {before}")
        text = text.replace(before, after)
    return text


class House:
    """The broker, the program and a reader; `start` runs the program with another pipeline."""

    def __init__(self, arguments, folder):
        self.programs, self.folder, self.verdicts = arguments.programs, folder, Verdicts()
        self.guide = (ROOT / "docs" / "home_assistant.md").read_text()
        (folder / "film.avi").symlink_to(arguments.cache / "media/film/vtest.avi")
        run(arguments.programs / "verge", "model", "import", "nanodet-coco", "--out", folder / "models/people",
            env={**os.environ, "VERGE_HOME": str(folder / "home"), "VERGE_CACHE": str(arguments.cache)})
        self.broker = Broker(arguments.mosquitto, folder)
        self.program = None

    def start(self, text, password=PASSWORD):
        (self.folder / "pipeline.yaml").write_text(text)
        self.program = Program([self.programs / "verge-infer", self.folder / "pipeline.yaml", "--metrics", "off"],
                               self.folder / "infer.log", {"MQTT_PASSWORD": password})
        self.program.start()

    def log(self):
        return (self.folder / "infer.log").read_text(errors="replace")

    def check(self, what, condition, seconds=20):
        """Whether it comes true in time."""
        value = until(condition, seconds)
        return self.verdicts.check(what, bool(value), "" if value else self.log()[-300:])


def is_up(broker):
    with_word = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(PORT), "-u", "verge", "-P", PASSWORD, "-t", "test", "-m", "x"]
    return until(lambda: broker.is_running() and subprocess.run(with_word, capture_output=True).returncode == 0, 10)


def check_house(house):
    """What a subscriber gets while all goes well."""
    reader = Reader("homeassistant/#", f"{OURS}/#")
    house.start(pipeline_of(house.guide))
    house.check("it is online", lambda: reader.text(f"{OURS}/available") == "online")
    house.check("every part of the pipeline has its entities", lambda: len(reader.entities()) >= 16)
    entities = reader.entities()
    ids = [config["unique_id"] for config in entities.values()]
    house.verdicts.check("identifiers are unique", len(ids) == len(set(ids)))
    wanted = {"binary_sensor/verge/gate__plaza__person__occupancy", "sensor/verge/gate__plaza__person__count",
              "sensor/verge/gate__walkway__in", "binary_sensor/verge/gate__busy__active", "event/verge/gate__on_the_plaza__event"}
    found = {topic.removeprefix("homeassistant/").removesuffix("/config") for topic in entities}
    house.verdicts.check("they are called as the guide says", wanted <= found, str(sorted(wanted - found)))
    house.check("people are counted", lambda: int(reader.text(f"{GATE}/person") or 0) >= 2)
    house.check("a rule that tells its end is on", lambda: "ON" in reader.values(f"{GATE}/_active/busy"))
    house.check("lives begin and change", lambda: {"new", "update"} <= {m["type"] for m in reader.messages(f"{OURS}/events")})
    life = next(m for m in reader.messages(f"{OURS}/events") if m["type"] == "new")["after"]
    width, height = life["region"][2:]
    left, top, right, bottom = life["box"]
    house.verdicts.check("a box is in pixels", (width, height) == (768, 576) and 0 <= left < right <= width
                         and 0 <= top < bottom <= height and bottom - top > 20, str(life["box"]))
    house.verdicts.check("a life has a beginning and no end yet",
                         abs(life["start_time"] - time.time()) < 600 and life["end_time"] is None and life["camera"] == "gate")
    house.check("somebody is on the plaza", lambda: any(int(n) > 0 for n in reader.values(f"{GATE}/plaza/person")))
    house.check("a rule fires", lambda: reader.messages(f"{GATE}/_happened/on_the_plaza"))
    house.check("somebody enters or leaves it", lambda: reader.messages(f"{GATE}/_happened/plaza"), 40)
    event = (reader.messages(f"{GATE}/_happened/plaza") or [{}])[0]
    house.verdicts.check("an event says which", event.get("event_type") in ("entered", "left") and event.get("rule") == "plaza")
    house.check("its snapshot is a picture", lambda: reader.kept[f"{GATE}/person/snapshot"][:2] == b"\xff\xd8")
    house.check("and an image entity", lambda: "homeassistant/image/verge/gate__person__snapshot/config" in reader.entities())
    house.check("its object has one", lambda: any(m["after"]["has_snapshot"] for m in reader.messages(f"{OURS}/events")))
    reader.stop()


def check_changes(house):
    """Its death, another pipeline, a broker that stands still, a broker that forgot."""
    reader = Reader(f"{OURS}/#", "homeassistant/#")
    house.check("states are there for who comes later", lambda: f"{GATE}/person" in reader.retained
                and f"{GATE}/person/snapshot" in reader.retained)
    house.program.process.send_signal(signal.SIGKILL)
    house.program.process.wait(60)
    house.check("its last will when it is killed", lambda: reader.text(f"{OURS}/available") == "offline")
    text = pipeline_of(house.guide)
    lines = [line for line in text.splitlines(True) if "zone: {" not in line and "on the plaza" not in line]
    house.start("".join(lines))
    house.check("it is online again", lambda: reader.text(f"{OURS}/available") == "online")
    house.check("what the pipeline lost is taken back", lambda: not any("plaza" in topic for topic in reader.entities())
                and reader.text(f"{GATE}/plaza/person") == "")
    house.verdicts.check("the rest stays", any("walkway" in topic for topic in reader.entities()))
    house.broker.process.send_signal(signal.SIGSTOP)
    time.sleep(2)  # It takes nothing for a while; what it proves is below.
    house.broker.process.send_signal(signal.SIGCONT)
    before = len(reader.messages(f"{OURS}/events"))
    house.check("after a standstill of the broker it goes on", lambda: len(reader.messages(f"{OURS}/events")) > before)
    reader.stop()
    house.broker.stop()
    house.broker.start()
    is_up(house.broker)
    reader = Reader("homeassistant/#", f"{OURS}/#")
    house.check("a broker that forgot all knows it again", lambda: len(reader.entities()) >= 8
                and reader.text(f"{OURS}/available") == "online" and f"{GATE}/person" in reader.kept)
    house.program.stop()
    house.check("it says when it goes", lambda: reader.text(f"{OURS}/available") == "offline"
                and reader.text(f"{GATE}/person") == "0")
    house.verdicts.check("every life has ended", {m["after"]["id"] for m in reader.messages(f"{OURS}/events") if m["type"] == "end"}
                         >= {m["after"]["id"] for m in reader.messages(f"{OURS}/events") if m["type"] == "new"})
    reader.stop()


def check_doors(house):
    """A wrong password, and TLS with the right and a wrong authority."""
    house.start(pipeline_of(house.guide), password="wrong-word")
    house.check("a wrong password is told", lambda: "bad user name or password" in house.log()
                or "not authorised" in house.log())
    house.verdicts.check("and stops nothing", house.program.is_running())
    house.program.stop()
    secure = f"mqtts://verge:${{MQTT_PASSWORD}}@127.0.0.1:{TLS_PORT}"
    house.start(pipeline_of(house.guide, secure))
    house.check("a broker that nobody vouches for gets nothing", lambda: "certificate" in house.log())
    house.program.stop()
    reader = Reader(f"{OURS}/#")
    house.start(pipeline_of(house.guide, secure, ", ca: ca.pem"))
    house.check("with its authority it is online over TLS", lambda: reader.text(f"{OURS}/available") == "online")
    house.program.stop()
    reader.stop()
    log = house.log()
    house.verdicts.check("no password in the log", not any(word in log for word in (PASSWORD, "s3cret", "wrong-word")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("cache", type=pathlib.Path)
    parser.add_argument("mosquitto", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verge-house-") as name:
        house = House(arguments, pathlib.Path(name))
        house.broker.start()
        try:
            if house.verdicts.check("the broker runs", is_up(house.broker)):
                check_house(house)
                check_changes(house)
                check_doors(house)
        finally:
            if house.program:
                house.program.stop()
            house.broker.stop()
        if house.verdicts.failed:
            print(house.log()[-4000:])
        return house.verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
