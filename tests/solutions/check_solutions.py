#!/usr/bin/env python3
"""The solutions of examples/ under the agent, by the commands of their guides.

    tests/solutions/check_solutions.py FOLDER_WITH_PROGRAMS CACHE [--only NAME…] [--pictures FOLDER]   (run.sh calls it, in a namespace)
"""
import argparse
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import HubClient, Verdicts, is_left, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 240  # For whatever a solution has to tell; a busy machine takes its time.
COMMAND_S = 400  # For a command of a guide; the longest ones teach a model.
JUDGED_S = 35  # Of the film, from its beginning.
FILM_FPS = 10


class Solution:
    """One of examples/, which runs now: its guide's commands, what it tells, what it keeps."""

    def __init__(self, bench, name):
        self.bench, self.name, self.verdicts = bench, name, bench.verdicts
        self.blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "examples" / name / "README.md").read_text(), re.S)
        self.module = "audio" if any("DEVICE audio" in block for block in self.blocks) else "vision"
        self.begin_us = int(time.time() * 1e6)

    def check(self, what, is_good, detail=""):
        """Details that fit into a line are always shown, long ones explain a failure."""
        return self.verdicts.check(f"{self.name}: {what}", is_good, detail if not is_good or len(detail) < 120 else "")

    def start(self):
        begin, done = time.monotonic(), self.bench.shell(self.blocks[0])
        return self.check("the guide's command sets it up", done.returncode == 0,
                          f"{time.monotonic() - begin:.0f} s" if done.returncode == 0 else (done.stdout + done.stderr)[-1500:])

    def command(self, beginning):
        """The guide's command that begins with these words. KeyError when it has none."""
        for block in self.blocks:
            for line in block.splitlines():
                if line.strip().startswith(beginning):
                    return line
        raise KeyError(f"the guide of {self.name} has no command {beginning}")

    def method(self, words):
        """What the module answers to the guide's `verge method call DEVICE MODULE …`; None until it answers with 2xx."""
        done = self.bench.shell(self.command(f"verge method call DEVICE {self.module} {words}"))
        return json.loads(done.stdout)["payload"] if done.returncode == 0 else None

    def ask(self, name, parameters=None):
        """Of a method that the guide does not name. OSError and KeyError as HubClient says."""
        answer = self.bench.hub.json("POST", f"/twins/{self.bench.device()}/modules/{self.module}/methods?api-version=2021-04-12",
                                     {"methodName": name, "payload": parameters or {}, "responseTimeoutInSeconds": 20,
                                      "connectTimeoutInSeconds": 0})
        return answer["payload"] if answer["status"] < 300 else None

    def told(self, kind, rule=None):
        """Its events of a type, oldest first."""
        query = urllib.parse.urlencode({"module": self.module, "type": kind, "from_us": self.begin_us, "limit": 1000})
        events = self.bench.hub.json("GET", f"/api/v1/events?{query}")["events"][::-1]
        return [event for event in events if rule in (None, event.get("rule"))]

    def tells(self, kind, rule=None, is_it=lambda event: True, seconds=PATIENCE_S):
        """The first such event, or nothing."""
        return until(lambda: next(filter(is_it, self.told(kind, rule)), None), seconds, 0.5)

    def keep_picture(self, picture):
        """JPEG bytes, for who wants to look at them, and whether they are a JPEG."""
        if self.bench.pictures and picture:
            self.bench.pictures.mkdir(parents=True, exist_ok=True)
            (self.bench.pictures / f"{self.name}.jpg").write_bytes(picture)
        return bool(picture) and picture[:2] == b"\xff\xd8" and picture[-2:] == b"\xff\xd9"

    def check_picture_of(self, event):
        """The picture that an event was kept with comes to the hub's side, with its digest."""
        digest = (event.get("evidence") or [""])[0]
        out = self.bench.folder / "picture.jpg"
        out.unlink(missing_ok=True)
        done = self.bench.shell(f"verge evidence get DEVICE vision {digest} --out {out}")
        picture = out.read_bytes() if done.returncode == 0 else b""
        self.check("its picture comes off the device, with its digest",
                   self.keep_picture(picture) and digest == f"sha256:{hashlib.sha256(picture).hexdigest()}", (digest + done.stderr)[-300:])

    def check_snapshot(self):
        """A picture of what the module sees now."""
        answer = until(lambda: self.ask("snapshot", {"width": 640}), 60)
        self.check("shows what it sees", bool(answer) and self.keep_picture(base64.b64decode(answer["jpeg"])))


class Bench:
    """A machine of its own in this namespace; every solution runs on it in turn."""

    def __init__(self, arguments, folder):
        self.programs, self.folder, self.pictures, self.verdicts = arguments.programs, folder, arguments.pictures, Verdicts()
        self.home = folder / "home"
        self.cache = arguments.cache
        self.environment = {**os.environ, "VERGE_HOME": str(self.home), "VERGE_CACHE": str(arguments.cache), "TZ": "UTC",
                            "PATH": f"{arguments.programs}:{os.environ['PATH']}"}
        self.hub = HubClient(self.home / "hub" / "connection.json")

    def device(self):
        return json.loads((self.home / "agent" / "agent.json").read_text())["device"]

    def shell(self, words):
        """A guide's words, with this machine's places for the reader's."""
        words = words.replace("build/release/bin/verge", "verge").replace("~/.cache/verge", str(self.cache))
        if "DEVICE" in words:
            words = words.replace("DEVICE", self.device())
        return subprocess.run(["bash", "-ec", words], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=COMMAND_S)

    def show_logs(self):
        for log in sorted((self.home / "log").glob("*.log")):
            print(f"--- {log.name}\n" + "\n".join(line[:400] for line in log.read_text(errors="replace").splitlines()[-15:]))
        print("--- module vision\n" + self.shell("verge logs vision | tail -n 20 | cut -c 1-400").stdout)


# -- what each must tell


def people_counting(solution):
    """Counts of the film's first seconds, beside the labels. Two more or less may be: people meet on the line, and a busy machine
    looks less often."""
    truth = json.loads((ROOT / "examples/first_light/truth/people.json").read_text())
    begun = until(lambda: solution.ask("restart"), PATIENCE_S)
    begin_us = begun["captured_us"] if begun else 0

    def seconds(event):
        return (event["captured_us"] - begin_us) / 1e6

    # Somebody comes in after those that are counted: then they were all told.
    solution.check("the film goes on", bool(begun) and bool(solution.tells("zone.entered", is_it=lambda each: seconds(each) > JUDGED_S)))

    def compare(what, labels, kind, direction=None):
        expected = sum(1 for each in truth[labels] if each["frame"] < JUDGED_S * FILM_FPS and each.get("direction") == direction)
        counted = sum(1 for each in solution.told(kind) if 0 <= seconds(each) < JUDGED_S
                      and each["extension"].get("direction") == direction)
        solution.check(f"{what} of {JUDGED_S} s", abs(counted - expected) <= 2, f"{counted} counted, {expected} by eye")

    compare("people who came into the zone", "zone_entries", "zone.entered")
    compare("people who crossed the line inwards", "line_crossings", "line.crossed", "in")
    compare("people who crossed the line outwards", "line_crossings", "line.crossed", "out")
    solution.check("tells a crowd", bool(solution.tells("rule.fired", "crowd")))
    solution.check_snapshot()


def workplace_safety(solution):
    event = solution.tells("safety.intrusion")
    if not solution.check("tells an intrusion, as an alarm", bool(event) and event["severity"] == "alarm", str(event)[-300:]):
        return
    solution.check_picture_of(event)
    clip = solution.tells("evidence.stored")
    solution.check("keeps its clip", bool(clip))
    digest = clip["evidence"][0] if clip else ""
    out = solution.bench.folder / "clip"
    done = solution.bench.shell(f"verge evidence get DEVICE vision {digest} --out {out}")
    solution.check("which shows people and stays on the device", done.returncode != 0 and "it stays on the device" in done.stderr
                   and not out.exists(), "" if "it stays on the device" in done.stderr else done.stderr[-300:])


def parking(solution):
    bays = [f"bay {number} is free" for number in (1, 2, 3)]
    solution.check("tells that all three bays are free", all(bool(solution.tells("parking.free", bay)) for bay in bays),
                   ", ".join(event["rule"] for event in solution.told("parking.free")))
    taken = [event["type"] for kind in ("parking.free.ended", "parking.full", "parking.overstay") for event in solution.told(kind)]
    solution.check("and of no car, since there is none", not taken, ", ".join(taken))
    solution.check_snapshot()


def wildlife_camera(solution):
    solution.check("tells a visitor", bool(solution.tells("wildlife.visitor", "visitor")))
    solution.check("a visitor leaves no picture", all(not event.get("evidence") for event in solution.told("wildlife.visitor")))
    animals = solution.told("wildlife.animal")
    solution.check("and takes nobody for an animal", not animals, ", ".join(event["label"] for event in animals))
    solution.check_snapshot()


def shelf_void(solution):
    cleared = until(lambda: solution.method("fault '{\"kind\": \"sold_out\""), PATIENCE_S)
    place = f"{cleared['place']} is empty".replace("_", " ") if cleared else ""
    event = solution.tells("retail.shelf_void", place)
    if solution.check("tells the place that is cleared", bool(cleared) and bool(event), place):
        solution.check_picture_of(event)
    pictures_are_kept(solution)
    solution.check("it is filled again", until(lambda: solution.method("fault '{\"kind\": \"none\""), 60) is not None)
    solution.check("which is told, too", bool(solution.tells("retail.shelf_void.ended", place)))


def pictures_are_kept(solution):
    """By label, of one place, when somebody asks."""
    asked = solution.ask("save", {"label": "probe", "count": 3, "every_s": 0.5, "only": "shelf_2"})
    volumes = solution.bench.home / "engine" / "volumes"
    kept = until(lambda: len(list(volumes.glob("**/probe/*-shelf_2.jpg"))) == 3, 60)
    solution.check("pictures of a place are kept by label when somebody asks", bool(asked) and bool(kept))


def visual_quality(solution):
    """The camera's own word on each plate that was seen, beside the events; each plate is one picture."""
    ordered = until(lambda: solution.method("fault '{\"kind\": \"scratch\""), PATIENCE_S)
    plates = {}

    def see():
        plate = solution.method("truth")
        plates[plate["captured_us"]] = plate["defect"]
        return plate["plate"] >= ordered["first"] + ordered["plates"] + 3  # Good ones behind the spoiled.

    solution.check("the belt brings spoiled plates and good ones", bool(ordered) and bool(until(see, PATIENCE_S, 0.2)), str(plates))
    bad = {captured for captured, defect in plates.items() if defect != "none"}
    scratched = [captured for captured, defect in plates.items() if defect == "scratch"]

    def marked():
        return {event["captured_us"] for event in solution.told("quality.defect", "defect")}

    found = bool(scratched) and until(lambda: bad <= marked(), 60)
    solution.check("every bad plate is told", bool(found), f"{len(bad & marked())} of {len(bad)}, {len(scratched)} of them scratched")
    good = set(plates) - bad
    solution.check("and no good one", bool(good) and not good & marked(), f"{len(good & marked())} of {len(good)}")
    event = solution.tells("quality.defect", is_it=lambda each: each["captured_us"] in scratched, seconds=1)
    if event:
        solution.check_picture_of(event)


def access_control(solution):
    event = solution.tells("access.denied")
    solution.check("lets nobody in while nobody is enrolled", bool(event) and event["extension"]["reason"] == "nobody_enrolled",
                   str(event)[:400])
    asked = until(lambda: solution.method("access.enrol"), 60)
    name = asked["enrolling"] if asked else ""
    solution.check("the guide's command enrols who stands there", bool(solution.tells("access.enrolled", is_it=lambda each: each["label"] == name)),
                   str(solution.told("access.enrolment_failed"))[-400:])
    people = solution.method("access.list")
    solution.check("and lists her", bool(people) and [each["name"] for each in people["people"]] == [name], str(people))
    solution.check("she may come in", bool(solution.tells("access.granted", is_it=lambda each: each["label"] == name)))
    solution.check_snapshot()


def played(solution, kind, is_it=lambda event: True, quiet_s=20):
    """Nothing is told of ordinary sound; then the guide's command puts a sound in, and that is told. Returns the event."""
    ready = until(lambda: solution.method("truth"), PATIENCE_S)
    time.sleep(quiet_s)
    solution.check("ordinary sound is no event", bool(ready) and not solution.told(kind), str(solution.told(kind))[:300])
    asked_us, asked = int(time.time() * 1e6), until(lambda: solution.method("play"), 60)
    event = solution.tells(kind, is_it=lambda each: each["captured_us"] >= asked_us and is_it(each), seconds=60)
    solution.check("the sound that is put in is told", bool(asked) and bool(event), str(solution.told(kind))[:300])
    if event:
        solution.check("within twelve seconds", event["captured_us"] - asked_us < 12e6, f"{(event['captured_us'] - asked_us) * 1e-6:.1f} s")
        digest, out = (event.get("evidence") or [""])[0], solution.bench.folder / "heard.flac"
        out.unlink(missing_ok=True)
        done = solution.bench.shell(f"verge evidence get DEVICE audio {digest} --out {out}")
        heard = out.read_bytes() if done.returncode == 0 else b""
        solution.check("its sound comes off the device, with its digest",
                       heard[:4] == b"fLaC" and digest == f"sha256:{hashlib.sha256(heard).hexdigest()}", (digest + done.stderr)[-300:])
    return event


def motor_by_sound(solution):
    if played(solution, "sound.anomaly"):
        solution.check("and that it is over", bool(solution.tells("sound.normal", seconds=60)))


def leak_by_sound(solution):
    if played(solution, "sound.anomaly"):
        solution.check("and that it is over", bool(solution.tells("sound.normal", seconds=60)))


def alarm_sounds(solution):
    played(solution, "sound.class", lambda event: event["label"] == "siren")


SOLUTIONS = [people_counting, workplace_safety, parking, wildlife_camera, shelf_void, visual_quality, access_control,
             motor_by_sound, leak_by_sound, alarm_sounds]


def check_all(bench, names):
    known = {path.parent.name for path in (ROOT / "examples").glob("*/README.md")}
    bench.verdicts.check("every example with a guide is tried", {each.__name__ for each in SOLUTIONS} == known, ", ".join(sorted(known)))
    for judge in SOLUTIONS:
        solution, before = Solution(bench, judge.__name__), bench.verdicts.failed
        if names and solution.name not in names:
            continue
        if solution.start():
            try:
                judge(solution)
            except (OSError, KeyError, TypeError, ValueError, subprocess.TimeoutExpired) as error:
                solution.check("answers as it should", False, f"{type(error).__name__}: {error}"[:600])
        if bench.verdicts.failed > before:
            bench.show_logs()
    done = bench.shell("verge down")
    bench.verdicts.check("verge down leaves nothing", done.returncode == 0 and not is_left(bench.home), done.stderr[-400:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("cache", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[], help="names of solutions")
    parser.add_argument("--pictures", type=pathlib.Path, help="keep a picture of each here")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="verge-solutions-"))
    bench = Bench(arguments, folder)
    try:
        check_all(bench, arguments.only)
    finally:
        bench.shell("verge down")  # Again, whatever happened; nothing when it is down.
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bench.verdicts.finish())


if __name__ == "__main__":
    main()
