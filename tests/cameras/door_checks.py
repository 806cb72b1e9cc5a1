"""Who may be at the other end: certificates of cameras, and finding a camera by ONVIF; both by `verge camera`."""
import concurrent.futures
import json
import os
import re
import subprocess
import time
import urllib.request

from cameras import HttpCamera, RtspCamera
from onvif import OnvifCamera
from testkit import Program, run, until

USER, PASSWORD = "guard", "p@ss/w:rd #1"
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def camera(programs, *words, **environment):
    """`verge camera …`, with the camera's password in the environment."""
    return subprocess.run([programs / "verge", "camera", *map(str, words)], capture_output=True, text=True, timeout=240,
                          env={**os.environ, "CAMERA_PASSWORD": PASSWORD, **environment})


# -- certificates


def make_authority(folder, name):
    run("openssl", "req", "-x509", *EC, "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out",
        folder / f"{name}.pem")
    return folder / f"{name}.pem"


def make_certificate(folder, name, authority, address, days):
    """A PEM file with certificate and key, for one address."""
    run("openssl", "req", *EC, "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}", "-keyout",
        folder / f"{name}.key", "-out", folder / f"{name}.csr")
    run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", authority, "-CAkey", authority.with_suffix(".key"),
        "-CAcreateserial", "-copy_extensions", "copy", "-days", days, "-out", folder / f"{name}.crt")
    both = folder / f"{name}-both.pem"
    both.write_text((folder / f"{name}.crt").read_text() + (folder / f"{name}.key").read_text())
    return both


def fingerprint(certificate):
    said = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certificate)
    return "sha256:" + said.split("=")[1].strip().replace(":", "").lower()


def check_certificates(programs, folder, films, pictures, verdicts):
    """`verge camera check` at cameras whose certificates are sound, of somebody else, for another host, expired, their own."""
    house, other = make_authority(folder, "house"), make_authority(folder, "other")
    certificates = {"good": make_certificate(folder, "good", house, "127.0.0.1", 2),
                    "elsewhere": make_certificate(folder, "elsewhere", house, "127.0.0.9", 2),
                    "expired": make_certificate(folder, "expired", house, "127.0.0.1", 0)}
    make_authority(folder, "own")
    certificates["own"] = folder / "own-both.pem"
    certificates["own"].write_text((folder / "own.pem").read_text() + (folder / "own.key").read_text())
    ports = {}
    for i, (name, certificate) in enumerate(certificates.items()):
        ports[name] = 8670 + i
        RtspCamera(8670 + i, films["small"], user=USER, password=PASSWORD, certificate=certificate)
    HttpCamera(8680, pictures, 10, user=USER, password=PASSWORD, certificate=certificates["good"])
    HttpCamera(8681, pictures, 10, user=USER, password=PASSWORD, certificate=certificates["own"])
    address = lambda name: f"rtsps://{USER}:${{CAMERA_PASSWORD}}@127.0.0.1:{ports[name]}/door"
    https = f"https://{USER}:${{CAMERA_PASSWORD}}@127.0.0.1:"
    own, short = fingerprint(certificates["own"]), ["--seconds", "0"]
    time.sleep(1)  # The expired one ends with the second in which it was made.
    rows = [("an authority that knows it", 0, [address("good"), "--ca", house], "h264, 320x240"),
            ("an authority that does not", 2, [address("good"), "--ca", other], "certificate is refused"),
            ("the certificate of another host", 2, [address("elsewhere"), "--ca", house], "mismatch"),
            ("an expired certificate", 2, [address("expired"), "--ca", house], "expired"),
            ("its own, of which nothing was said", 2, [address("own")], f"give `fingerprint: {own}`"),
            ("its own, by fingerprint", 0, [address("own"), "--fingerprint", own.upper().replace("SHA", "sha")], "h264, 320x240"),
            ("another one than its fingerprint", 2, [address("good"), "--fingerprint", own], "another than the one asked for"),
            ("its own, and anybody may answer", 0, [address("own"), "--insecure"], "h264, 320x240"),
            ("https, an authority that knows it", 0, [https + "8680/live", "--ca", house], "mjpeg, 320x240"),
            ("https, its own, of which nothing was said", 2, [https + "8681/live"], "insecure: true"),
            ("https, its own, by fingerprint", 0, [https + "8681/picture", "--fingerprint", own], "mjpeg, 320x240")]
    with concurrent.futures.ThreadPoolExecutor(3) as some_at_once:
        answers = some_at_once.map(lambda row: camera(programs, "check", *row[2], *short), rows)
    for (what, code, _, words), answer in zip(rows, answers):
        said = answer.stdout + answer.stderr
        is_good = answer.returncode == code and words in said and "p@ss" not in said and "p%40ss" not in said
        verdicts.check(f"certificates: {what}", is_good, "" if is_good else f"{answer.returncode} {said}"[-300:])


# -- ONVIF


def check_discovery(programs, folder, films, verdicts):
    """Probe, match, profiles, address, one picture; all within the test's own network."""
    run("ip", "link", "add", "cam0", "type", "veth", "peer", "name", "cam1")
    run("ip", "addr", "add", "192.0.2.1/24", "dev", "cam0")
    for name in ("cam0", "cam1"):
        run("ip", "link", "set", name, "up")
    RtspCamera(8660, films["small"], user=USER, password=PASSWORD)
    onvif = OnvifCamera("192.0.2.1", 8661, "Gate%20North", USER, PASSWORD,
                        [("main", "H264", 1920, 1080, 25, "rtsp://127.0.0.1:8660/main?stream=0"),
                         ("sub", "H264", 704, 576, 10, "rtsp://127.0.0.1:8662/sub")])
    login = {"VERGE_CAMERA_USER": USER, "VERGE_CAMERA_PASSWORD": PASSWORD}
    found = camera(programs, "discover", "--wait", "3", "-o", "json", **login)
    cameras = json.loads(found.stdout) if found.returncode == 0 else []
    verdicts.check("a camera is found", len(cameras) == 1 and cameras[0]["name"] == "Gate North" and cameras[0]["hardware"] == "Test-1"
                   and cameras[0]["address"] == "192.0.2.1", found.stdout[-300:] + found.stderr[-300:])
    verdicts.check("where it asks is said", "cam0 (192.0.2.1)" in found.stderr and " lo " not in found.stderr, found.stderr[-200:])
    streams = cameras[0]["streams"] if cameras else []
    verdicts.check("with its streams", [(one["width"], one["fps"], one["codec"], one["url"]) for one in streams]
                   == [(1920, 25, "H264", "rtsp://127.0.0.1:8660/main?stream=0"), (704, 10, "H264", "rtsp://127.0.0.1:8662/sub")],
                   str(cameras)[-300:])
    table = camera(programs, "discover", "--wait", "2", "--interface", "cam0", **login)
    verdicts.check("as a table", re.search(r"192\.0\.2\.1 +Gate North +Test-1 +main stream +H264 +1920x1080 +25 +rtsp://", table.stdout)
                   is not None, table.stdout[-300:] + table.stderr[-200:])
    wrong = camera(programs, "discover", "--wait", "2", "--interface", "cam0", VERGE_CAMERA_USER=USER, VERGE_CAMERA_PASSWORD="hush")
    verdicts.check("a wrong password is told", "Sender not authorized" in wrong.stdout and "hush" not in wrong.stdout + wrong.stderr,
                   wrong.stdout[-200:])
    verdicts.check("no password was sent", not any(PASSWORD in text or "hush" in text for text in onvif.requests))
    none = camera(programs, "discover", "--interface", "eth9")
    verdicts.check("an unknown interface is refused", none.returncode == 3 and "there are: " in none.stderr, none.stderr[-200:])
    picture = folder / "seen.jpg"
    seen = camera(programs, "check", f"rtsp://{USER}:${{CAMERA_PASSWORD}}@127.0.0.1:8660/sub", "--seconds", "3", "--out", picture,
                  "-o", "json")
    report = json.loads(seen.stdout) if seen.returncode == 0 else {}
    verdicts.check("what it sends", (report.get("codec"), report.get("width"), report.get("height")) == ("h264", 320, 240)
                   and abs(report["fps"] - 10) < 3 and abs((report["key_every_s"] or 0) - 1) < 0.4 and report["broken"] == 0,
                   seen.stdout[-300:] + seen.stderr[-300:])
    verdicts.check("a picture of it", picture.exists() and picture.read_bytes()[:2] == b"\xff\xd8"
                   and picture.stat().st_mode & 0o077 == 0)
    typed = camera(programs, "check", f"rtsp://{USER}:hush@127.0.0.1:8660/sub")
    verdicts.check("a typed password is refused", typed.returncode == 2 and "environment variable" in typed.stderr
                   and "hush" not in typed.stderr, typed.stderr[-200:])
    check_onvif_address(programs, folder, films, verdicts)


ONVIF_METRICS = "127.0.0.1:19604"
ONVIF_PIPELINE = """purpose: A camera by its ONVIF address.
version: 1
evidence: {folder: onvif-kept, days: 1}
sources:
  gate: {kind: camera, url: 'onvif://guard:${CAMERA_PASSWORD}@192.0.2.1:8661', record: {segment_s: 5}}
sinks:
  - stdout: {}
"""


def check_onvif_address(programs, folder, films, verdicts):
    """`onvif://`: the streams that the camera names, at the camera's own host; what is analysed and what is kept."""
    # The camera believes to be 127.0.0.1, where a smaller film plays on the same port.
    for port, film in ((8660, "large"), (8662, "small")):
        RtspCamera(port, films[film], user=USER, password=PASSWORD, address="192.0.2.1")
    url = f"onvif://{USER}:${{CAMERA_PASSWORD}}@192.0.2.1:8661"
    rows = [("the smaller stream is analysed", url, 0, "h264, 320x240", {}),
            ("a profile by name", url + "/main", 0, "h264, 480x352", {}),
            ("a profile that is not there", url + "/third", 2, 'no profile "third"; it has: main, sub', {}),
            ("another password", url, 2, "Sender not authorized", {"CAMERA_PASSWORD": "hush"})]
    for what, address, code, words, environment in rows:
        answer = camera(programs, "check", address, "--seconds", "0", **environment)
        said = answer.stdout + answer.stderr
        is_good = answer.returncode == code and words in said and "p@ss" not in said and "p%40ss" not in said and "hush" not in said
        verdicts.check(f"onvif://: {what}", is_good, "" if is_good else f"{answer.returncode} {said}"[-300:])
    (folder / "onvif.yaml").write_text(ONVIF_PIPELINE)
    program = Program([programs / "verge-infer", folder / "onvif.yaml", "--metrics", ONVIF_METRICS], folder / "onvif.log",
                      {"CAMERA_PASSWORD": PASSWORD})
    program.start()
    kept = folder / "onvif-kept" / "record-gate"
    try:
        said = lambda: urllib.request.urlopen(f"http://{ONVIF_METRICS}/metrics", timeout=5).read().decode()
        shown = until(lambda: re.search(r'^verge_camera_width_pixels\{stream="gate"\} 320$', said(), re.M), 15)
        until(lambda: list(kept.glob("*.new")) or list(kept.glob("*.mp4")), 10)
        time.sleep(1.5)  # A group of pictures for the recording.
    finally:
        program.stop()
    verdicts.check("onvif://: the pipeline sees the smaller stream", shown is not None, program.log.read_text(errors="replace")[-300:])
    files = list(kept.glob("*.mp4"))
    width = run("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width", "-of", "csv=p=0", files[0]) if files else ""
    verdicts.check("onvif://: and the larger one is recorded", width.strip() == "480", f"{len(files)} files, {width.strip()} wide")
