#!/usr/bin/env python3
"""verge-infer with cameras that are real servers on loopback, and what happens when they misbehave.

    tests/cameras/check_cameras.py FOLDER_WITH_PROGRAMS FILM        (run.sh calls it, in a namespace without a way out)

All cameras play at once into one verge-infer; its metrics say what became of their pictures.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from cameras import H264Film, H265Film, HttpCamera, RtspCamera, jpegs_of
from door_checks import check_certificates, check_discovery, fingerprint
from evidence_checks import check_evidence
from flap_checks import check_flaps
from still_checks import check_stillness
from testkit import Program, Verdicts, run, until

FPS = 10
METRICS = "127.0.0.1:19600"
SECRET = "p@ss/w:rd #1"  # Needs encoding in a URL.
BACK_S_MAX = 10.0  # From the camera's return to the next picture, on a slow machine; about one on ours.
SOURCES = {
    "tcp": "url: 'rtsp://guard:${CAMERA_PASSWORD}@127.0.0.1:8601/door?stream=1'",
    "basic": "url: 'rtsp://guard:${CAMERA_PASSWORD}@127.0.0.1:8602/door', fps: 2",
    "udp": "url: 'rtsp://127.0.0.1:8603/door', transport: udp",
    "thinned": "url: 'rtsp://127.0.0.1:8604/door', fps: 1",
    "keyframes": "url: 'rtsp://127.0.0.1:8604/door', keyframes_only: true",
    "dropped": "url: 'rtsp://127.0.0.1:8605/door'",
    "refused": "url: 'rtsp://127.0.0.1:8606/door'",
    "frozen": "url: 'rtsp://127.0.0.1:8607/door'",
    "resized": "url: 'rtsp://127.0.0.1:8608/door'",
    "garbled": "url: 'rtsp://127.0.0.1:8609/door'",
    "locked": "url: 'rtsp://guard:wrong-word@127.0.0.1:8610/door'",
    "absent": "url: 'rtsp://guard:${CAMERA_PASSWORD}@127.0.0.1:8611/door'",
    "mjpeg": "url: 'http://guard:${CAMERA_PASSWORD}@127.0.0.1:8612/live'",
    "mjpeg_thinned": "url: 'http://127.0.0.1:8613/live', fps: 2",
    "snapshot": "url: 'http://guard:${CAMERA_PASSWORD}@127.0.0.1:8612/picture?user=guard', fps: 4",
    "mjpeg_dropped": "url: 'http://127.0.0.1:8614/live'",
    "mjpeg_frozen": "url: 'http://127.0.0.1:8615/live'",
    "page": "url: 'http://127.0.0.1:8613/page'",
    "folder": "url: pictures, fps: 5, loop: true",
    "rtsps": "url: 'rtsps://guard:${CAMERA_PASSWORD}@127.0.0.1:8617/door', fingerprint: 'FINGERPRINT'",
    "https": "url: 'https://127.0.0.1:8618/live', insecure: true",
    "film": "url: gate.mp4, fps: 2, loop: true",
    "h265": "url: 'rtsp://127.0.0.1:8619/door'",
    "late": "url: 'rtsp://127.0.0.1:8616/door'",
}


def make_films(film, folder):
    """Two sizes of H.264, one with pictures that no other needs, the same as a file, H.265, and JPEGs."""
    def encode(name, *options):
        run("ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", "-i", film, "-t", "4", "-r", FPS, "-an", *options,
            folder / name)

    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10", "-sc_threshold", "0",
            "-x264-params", "sliced-threads=0:threads=1", "-bsf:v", "h264_mp4toannexb", "-f", "h264"]
    encode("small.h264", "-vf", "scale=320:240", "-tune", "zerolatency", "-bf", "0", *h264)
    encode("large.h264", "-vf", "scale=480:352", "-tune", "zerolatency", "-bf", "0", *h264)
    encode("spare.h264", "-vf", "scale=320:240", "-bf", "1", *h264, "-x264-params", "threads=1:b-adapt=0:b-pyramid=none")
    encode("gate.mp4", "-vf", "scale=320:240", "-bf", "1", *h264[:h264.index("-bsf:v")])
    encode("small.mjpeg", "-vf", "scale=320:240", "-c:v", "mjpeg", "-q:v", "8", "-f", "mjpeg")
    encode("small.h265", "-vf", "scale=320:240", "-pix_fmt", "yuv420p", "-c:v", "libx265", "-preset", "ultrafast",
           "-x265-params", "log-level=none:bframes=0:keyint=10:pools=1:frame-threads=1:repeat-headers=1", "-f", "hevc")
    pictures = jpegs_of(folder / "small.mjpeg")
    (folder / "pictures").mkdir()
    for i, picture in enumerate(pictures[:8]):
        (folder / "pictures" / f"{i:03}.jpg").write_bytes(picture)
    films = {name: H264Film(folder / f"{name}.h264", FPS) for name in ("small", "large", "spare")}
    films["h265"] = H265Film(folder / "small.h265", FPS)
    return films, pictures


class Site:
    """The cameras and the program that watches them."""

    def __init__(self, programs, film, folder):
        films, pictures = make_films(film, folder)
        self.films, self.pictures = films, pictures
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=camera", "-keyout", folder / "key.pem", "-out", folder / "own.pem")
        certificate = folder / "camera.pem"
        certificate.write_text((folder / "own.pem").read_text() + (folder / "key.pem").read_text())
        login = {"user": "guard", "password": SECRET}
        rtsp = lambda port, name="small", **options: RtspCamera(port, films[name], **options)
        self.cameras = {
            "tcp": rtsp(8601, **login), "basic": rtsp(8602, scheme="basic", **login), "udp": rtsp(8603),
            "thinned": rtsp(8604, "spare"), "dropped": rtsp(8605), "refused": rtsp(8606), "frozen": rtsp(8607),
            "resized": rtsp(8608), "garbled": rtsp(8609), "locked": rtsp(8610, **login),
            "mjpeg": HttpCamera(8612, pictures, FPS, **login), "mjpeg_thinned": HttpCamera(8613, pictures, FPS),
            "h265": rtsp(8619, "h265"),
            "rtsps": rtsp(8617, certificate=certificate, **login),
            "https": HttpCamera(8618, pictures, FPS, certificate=certificate),
            "mjpeg_dropped": HttpCamera(8614, pictures, FPS), "mjpeg_frozen": HttpCamera(8615, pictures, FPS)}
        pipeline = "purpose: Cameras that misbehave.\nversion: 1\nsources:\n"
        pipeline += "".join(f"  {name}: {{kind: camera, {options}}}\n" for name, options in SOURCES.items())
        pipeline += "sinks:\n  - stdout: {}\n"
        (folder / "cameras.yaml").write_text(pipeline.replace("FINGERPRINT", fingerprint(certificate)))
        self.program = Program([programs / "verge-infer", folder / "cameras.yaml", "--metrics", METRICS],
                               folder / "infer.log", {"CAMERA_PASSWORD": SECRET})

    def metrics(self):
        """{"shown": {"tcp": 17, …}, "reconnects": …, "width": …}"""
        text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5).read().decode()
        found = {}
        for name, labels, value in re.findall(r"^verge_camera_(\w+)\{(.*?)\} (\S+)$", text, re.M):
            labels = dict(re.findall(r'(\w+)="(.*?)"', labels))
            column = labels.get("result") or name.removesuffix("_total").removesuffix("_pixels")
            found.setdefault(column, {})[labels["stream"]] = float(value)
        return found

    def shown(self, stream):
        return self.metrics().get("shown", {}).get(stream, 0)


RATES = {"tcp": FPS, "basic": 2, "udp": FPS, "thinned": 1, "keyframes": 1, "mjpeg": FPS, "mjpeg_thinned": 2, "snapshot": 4,
         "folder": 5, "rtsps": FPS, "https": FPS, "film": 2, "h265": FPS}  # Pictures a second.


def is_near(rate, wanted):
    return abs(rate - wanted) <= 0.25 * wanted + 0.35


def check_streams(site, verdicts):
    """Some seconds in which all goes well: rates and counts."""
    steady = ["tcp", "basic", "udp", "thinned", "keyframes", "dropped", "refused", "frozen", "resized", "garbled", "mjpeg",
              "mjpeg_thinned", "snapshot", "mjpeg_dropped", "mjpeg_frozen", "folder", "rtsps", "https", "film", "h265"]
    begin = time.monotonic()
    until(lambda: all(site.shown(name) > 0 for name in steady), 15)
    first = site.metrics()
    for name in steady:
        verdicts.check(f"{name}: pictures come", first["shown"].get(name, 0) > 0)
    print(f"        all within {time.monotonic() - begin:.1f} s")
    grown = lambda column, name: last[column].get(name, 0) - first[column].get(name, 0)
    for attempt in range(3):  # A machine that was busy for a moment gets another.
        first, at = site.metrics(), time.monotonic()
        time.sleep(6)
        last, seconds = site.metrics(), time.monotonic() - at
        rates = {name: grown("shown", name) / seconds for name in RATES}
        if all(is_near(rates[name], wanted) for name, wanted in RATES.items()):
            break
    for name, wanted in RATES.items():
        verdicts.check(f"{name}: {wanted} a second", is_near(rates[name], wanted), f"{rates[name]:.2f}")
    for name, share in {"thinned": 0.7, "film": 0.8, "keyframes": 0.2, "mjpeg_thinned": 0.3}.items():
        received, decoded = grown("received", name), grown("decoded", name)
        verdicts.check(f"{name}: decodes only what is needed", received > 0 and decoded <= share * received + 1,
                       f"{decoded:.0f} of {received:.0f}")
    for name in steady:
        whole = {column: last[column].get(name, 0) for column in ("received", "decoded", "skipped", "still", "broken")}
        rest = whole["received"] - whole["decoded"] - whole["skipped"] - whole["broken"]
        verdicts.check(f"{name}: every picture is counted once", 0 <= rest <= 64 and whole["broken"] == whole["still"] == 0,
                       f"{whole}")
    verdicts.check("nothing was lost meanwhile", all(last["reconnects"].get(name, 0) == 0 for name in steady),
                   f"{ {name: last['reconnects'].get(name, 0) for name in steady if last['reconnects'].get(name, 0)} }")


def check_return(site, verdicts, name, act, back_after_s, what):
    """act(); back_after_s later the camera works again: how long until a picture comes?"""
    act()
    back_at = time.monotonic() + back_after_s
    while time.monotonic() < back_at:
        before = site.shown(name)
        time.sleep(0.2)
    before = site.shown(name) if back_after_s == 0 else before
    returned = until(lambda: site.shown(name) > before + 1, 15, 0.05)
    seconds = time.monotonic() - back_at
    verdicts.check(f"{name}: pictures again after {what}", returned and seconds <= BACK_S_MAX, f"{seconds:.1f} s")


def check_faults(site, verdicts):
    """All faults at once, each at a camera of its own."""
    cameras = site.cameras
    cases = [
        ("dropped", cameras["dropped"].drop, 0, "a lost connection"),
        ("refused", lambda: cameras["refused"].refuse(6), 6, "6 s without a listener"),
        ("frozen", lambda: cameras["frozen"].freeze(8), 8, "8 s of silence"),
        ("mjpeg_dropped", cameras["mjpeg_dropped"].drop, 0, "a lost connection"),
        ("mjpeg_frozen", lambda: cameras["mjpeg_frozen"].freeze(6), 6, "6 s of silence"),
        ("late", lambda: cameras.update(late=RtspCamera(8616, site.films["small"])), 0, "its first start"),
        ("resized", lambda: cameras["resized"].play(site.films["large"]), 0, "a change of its size"),
        ("garbled", lambda: cameras["garbled"].garble(15), 1.5, "15 pictures of noise"),
    ]
    before = site.metrics()
    threads = [threading.Thread(target=check_return, args=(site, verdicts, *case)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: site.metrics()["width"]["resized"] == 480, 5)
    after = site.metrics()
    grown = lambda column, name: after[column].get(name, 0) - before[column].get(name, 0)
    for name in ("dropped", "refused", "frozen", "mjpeg_dropped", "mjpeg_frozen"):
        verdicts.check(f"{name}: reconnects are counted", grown("reconnects", name) >= 1, f"{grown('reconnects', name):.0f}")
    verdicts.check("resized: the new size, on the same connection",
                   after["width"]["resized"] == 480 and after["height"]["resized"] == 352 and grown("reconnects", "resized") == 0,
                   f"{after['width']['resized']:.0f} x {after['height']['resized']:.0f}")
    verdicts.check("garbled: broken pictures are counted, the connection stays",
                   grown("broken", "garbled") > 0 and grown("reconnects", "garbled") == 0, f"{grown('broken', 'garbled'):.0f}")
    for name in ("tcp", "udp", "mjpeg", "folder"):
        verdicts.check(f"{name}: goes on beside the broken ones", grown("shown", name) > 10 and grown("reconnects", name) == 0,
                       f"{grown('shown', name):.0f} pictures")


def check_words(site, verdicts):
    """What the log says, and what it must not say."""
    log = site.program.log.read_text(errors="replace")
    verdicts.check("locked: says that the password is refused", "refuses the user and password" in log)
    verdicts.check("locked: does not try often", site.cameras["locked"].connects <= 4, f"{site.cameras['locked'].connects}")
    verdicts.check("absent: says what happens", "camera rtsp://***@127.0.0.1:8611/door: connect: " in log)
    verdicts.check("absent: one line per reason, not per attempt", log.count(":8611/door: ") <= 4, f"{log.count(':8611/door: ')}")
    verdicts.check("page: says what a camera sends", 'answers with "text/html"' in log)
    verdicts.check("return is told", "pictures come again source=" in log)
    secrets = [SECRET, "p%40ss", "wrong-word", "guard", "user="]
    verdicts.check("no user or password in the log", not any(secret in log for secret in secrets),
                   f"{[secret for secret in secrets if secret in log]}")


def check_refusals(programs, folder, verdicts):
    """Cameras that cannot be made."""
    rows = {"rtsp://guard:${CAMERA_PASSWORD}@127.0.0.1/1": ("environment variable CAMERA_PASSWORD is not set", ""),
            "gopher://guard:hush@127.0.0.1/1": ("its scheme is unknown", ""),
            "rtsp://guard:hush@127.0.0.1/": ("transport must be tcp or udp", ", transport: pigeon"),
            "rtsp://guard:hush@127.0.0.2/": ("are about rtsps:// and https://", ", insecure: true"),
            "rtsps://guard:hush@127.0.0.1/": ("exclude each other", ", insecure: true, ca: system.pem")}
    for url, (words, more) in rows.items():
        file = folder / "refused.yaml"
        file.write_text(f"purpose: A test.\nversion: 1\nsources:\n  door: {{kind: camera, url: '{url}'{more}}}\n"
                        "sinks:\n  - stdout: {}\n")
        answer = subprocess.run([programs / "verge-infer", file, "--metrics", "off"], capture_output=True, text=True, timeout=120)
        verdicts.check(f"refused: {words}", answer.returncode == 2 and words in answer.stderr and "hush" not in answer.stderr,
                       answer.stderr.strip()[-160:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("film", type=pathlib.Path)
    arguments = parser.parse_args()
    verdicts = Verdicts()
    os.environ.pop("http_proxy", None)
    with tempfile.TemporaryDirectory(prefix="verge-cameras-") as name:
        folder = pathlib.Path(name)
        check_refusals(arguments.programs, folder, verdicts)
        site = Site(arguments.programs, arguments.film, folder)
        site.program.start()
        try:
            check_streams(site, verdicts)
            check_faults(site, verdicts)
        finally:
            begin = time.monotonic()
            site.program.stop()
        verdicts.check("stops at once", time.monotonic() - begin < 10, f"{time.monotonic() - begin:.1f} s")
        check_words(site, verdicts)
        check_flaps(arguments.programs, folder, site.films["small"], verdicts)
        check_stillness(arguments.programs, folder, arguments.film, verdicts)
        check_evidence(arguments.programs, folder, site.films, site.pictures, verdicts)
        check_certificates(arguments.programs, folder, site.films, site.pictures, verdicts)
        check_discovery(arguments.programs, folder, site.films, verdicts)
        if verdicts.failed:
            print(site.program.log.read_text(errors="replace")[-6000:])
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
