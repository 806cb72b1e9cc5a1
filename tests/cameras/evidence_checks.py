"""Snapshots, clips and recordings of a real RTSP camera; check_cameras.py calls check_evidence().

The rule needs no model: it fires once about a scene in which nothing was looked for.
"""
import json
import re
import subprocess
import time
import urllib.request

from cameras import HttpCamera, RtspCamera
from testkit import Program, run, until

METRICS = "127.0.0.1:19601"
BEFORE_S, AFTER_S = 2, 2
GROUP_S = 1.0  # Between the films' key pictures.
PIPELINE = """purpose: Evidence.
version: 1
evidence: {folder: kept, days: 1}
sources:
  single: {kind: camera, url: 'rtsp://127.0.0.1:8631/door'}
  double: {kind: camera, url: 'rtsp://127.0.0.1:8632/sub', evidence_url: 'rtsp://127.0.0.1:8633/main', record: {segment_s: 5}}
  mjpeg: {kind: camera, url: 'http://127.0.0.1:8634/live'}
  film: {kind: camera, url: gate.mp4, loop: true}
stages:
  - rule: {name: seen, per: scene, when: "objects = 0", for_s: 2.5, cool_down_s: 3600, evidence: snapshot+clip, before_s: 2, after_s: 2}
sinks:
  - stdout: {}
"""


def events_in(log):
    """The events that the program printed, by type and stream."""
    events = {}
    for line in log.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
            events.setdefault((event["type"], event["stream"]), event)
        except (ValueError, KeyError, TypeError):
            continue
    return events


def probe(file):
    """Duration in seconds, width, pictures, whether the first is a key picture, and what decoding complains about."""
    words = run("ffprobe", "-v", "error", "-count_packets", "-show_entries", "packet=flags:format=duration:stream=width,nb_read_packets",
                "-select_streams", "v:0", "-of", "json", file)
    found = json.loads(words)
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", file, "-vsync", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", "/dev/null"],
                             capture_output=True, text=True)
    stream = found["streams"][0]
    return (float(found["format"]["duration"]), stream["width"], int(stream["nb_read_packets"]),
            found["packets"][0]["flags"].startswith("K"), decoded.stderr.strip())


def check_clip(verdicts, kept, name, event, stored, width, group_s):
    """What the event that followed names, against the event that it is about."""
    digest = stored["evidence"][0].removeprefix("sha256:")
    files = list((kept / "events").glob(f"*-{digest}-none.mp4"))
    if not verdicts.check(f"{name}: the clip lies where its digest says", len(files) == 1, f"{files}"):
        return
    sum_said = run("sha256sum", files[0]).split()[0]
    duration, found_width, pictures, is_key, complaints = probe(files[0])
    verdicts.check(f"{name}: its content has that digest", sum_said == digest)
    verdicts.check(f"{name}: begins with a key picture and decodes", is_key and not complaints, complaints[:200])
    # The event's time is when its condition became true, 2.5 s before it fired; the clip is about the firing.
    fired_us = event["captured_us"] + event["duration_us"]
    before_s = (fired_us - stored["extension"]["from_us"]) / 1e6
    verdicts.check(f"{name}: begins {BEFORE_S} s before, at the key picture", BEFORE_S - 0.15 <= before_s <= BEFORE_S + group_s + 0.4,
                   f"{before_s:.2f} s")
    after_s = duration - before_s
    verdicts.check(f"{name}: and ends {AFTER_S} s after", abs(after_s - AFTER_S) <= 0.4, f"{duration:.2f} s, {pictures} pictures")
    verdicts.check(f"{name}: shows the stream meant for it", found_width == width, f"{found_width} wide")


def check_evidence(programs, folder, films, pictures, verdicts):
    (folder / "evidence.yaml").write_text(PIPELINE)
    cameras = [RtspCamera(8631, films["small"]), RtspCamera(8632, films["small"]), RtspCamera(8633, films["large"]),
               HttpCamera(8634, pictures, films["small"].fps)]
    kept = folder / "kept"
    program = Program([programs / "verge-infer", folder / "evidence.yaml", "--metrics", METRICS], folder / "evidence.log", {})
    program.start()
    try:
        names = ("single", "double", "mjpeg", "film")
        until(lambda: all(("evidence.stored", name) in events_in(program.log) for name in names), 20)
        events = events_in(program.log)
        for name in names:
            event, stored = events.get(("rule.fired", name)), events.get(("evidence.stored", name))
            if not verdicts.check(f"{name}: an event and its clip came", event and stored,
                                  f"{sorted(key[0] for key in events if key[1] == name)}"):
                continue
            snapshot = list((kept / "events").glob(f"*-{event['evidence'][0].removeprefix('sha256:')}-people.jpg"))
            verdicts.check(f"{name}: the snapshot is there", len(snapshot) == 1 and snapshot[0].read_bytes()[:2] == b"\xff\xd8")
            verdicts.check(f"{name}: both bear the clip's id and the policy",
                           event["extension"]["clip"] == stored["extension"]["clip"] and event["extension"]["privacy"] == "people")
            if name != "film":  # Its key pictures are where the encoder put them.
                check_clip(verdicts, kept, name, event, stored, {"double": 480}.get(name, 320), 0.1 if name == "mjpeg" else GROUP_S)
        verdicts.check("the folder is for its owner only", kept.stat().st_mode & 0o777 == 0o700, oct(kept.stat().st_mode))
        text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5).read().decode()
        count = re.search(r'^verge_evidence_files_total\{result="kept"\} (\d+)', text, re.M)
        verdicts.check("what is kept is counted", count and int(count[1]) >= 2 * len(names), f"{count and count[1]}")
        until(lambda: list((kept / "record-double").glob("*.mp4")), 10)
    finally:
        begin = time.monotonic()
        program.stop()
        verdicts.check("evidence: stops at once", time.monotonic() - begin < 10, f"{time.monotonic() - begin:.1f} s")
    segments = sorted((kept / "record-double").glob("*.mp4"))
    verdicts.check("a recording's segments are named", len(segments) >= 2, f"{len(segments)}")
    if segments:
        duration, width, _, is_key, complaints = probe(segments[0])
        verdicts.check("a segment decodes, of the main stream", is_key and width == 480 and not complaints and 4 < duration < 10,
                       f"{duration:.1f} s, {width} wide {complaints[:200]}")
    verdicts.check("nothing unfinished is left", not list(kept.rglob("*.new")))
    if verdicts.failed:
        print(program.log.read_text(errors="replace")[-4000:])
    return cameras
