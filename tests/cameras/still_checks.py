"""`while_still: keyframes` beside `all`: the same camera twice, still for most of the time; check_cameras.py calls check_stillness().

The scene is one picture of the packaged film. For a second in every eight a block moves over it, beginning in the middle of a
group of pictures. Both sources must let the same pictures through their gates; one of them decodes far fewer.
"""
import re
import time
import urllib.request

from cameras import H264Film, RtspCamera
from testkit import Program, run, until

METRICS, PORT = "127.0.0.1:19603", 8636
FPS, GROUP, ROUND_S = 10, 10, 8
ROUNDS = 2
PIPELINE = f"""purpose: Nothing moves, mostly.
version: 1
sources:
  saving: {{kind: camera, url: 'rtsp://127.0.0.1:{PORT}/door', while_still: keyframes}}
  whole: {{kind: camera, url: 'rtsp://127.0.0.1:{PORT}/door'}}
stages:
  - motion: {{still_fps: 1, hold_s: 0.5}}
sinks:
  - stdout: {{}}
"""


def make_film(film, folder):
    """Eight seconds; the block moves from 5.55 s to 6.55 s."""
    block = "drawbox=x=20+40*{0}:y=60:w=40:h=60:color=white@1:t=fill:enable='between(n,{1},{1})'"
    blocks = ",".join(block.format(i / 2, 55 + i) for i in range(11))
    run("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", film, "-frames:v", "1", folder / "scene.png")
    run("ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", "-loop", "1", "-framerate", FPS, "-i", folder / "scene.png",
        "-t", ROUND_S, "-vf", f"scale=320:240,{blocks}", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
        "-pix_fmt", "yuv420p", "-qp", "26", "-g", GROUP, "-sc_threshold", "0", "-bf", "0", "-x264-params", "sliced-threads=0:threads=1",
        "-bsf:v", "h264_mp4toannexb", "-f", "h264", folder / "still.h264")
    return H264Film(folder / "still.h264", FPS)


def counts(stream):
    """What became of a source's pictures, and how many went through its gate."""
    text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5).read().decode()
    found = {}
    for name, labels, value in re.findall(r"^(verge_\w+)\{(.*?)\} (\S+)$", text, re.M):
        labels = dict(re.findall(r'(\w+)="(.*?)"', labels))
        if labels.get("stream") == stream and labels.get("stage", "motion") == "motion":
            found[name, labels.get("result") or labels.get("by")] = int(float(value))
    pictures = {what: found.get(("verge_camera_pictures_total", what), 0) for what in ("received", "decoded", "skipped", "still", "broken")}
    gate = {what: found.get(("verge_stage_packets_total", what), 0) for what in ("out", "dropped", "failed")}
    woken = {by: found.get(("verge_camera_woken_total", by), 0) for by in ("size", "picture")}
    return {**pictures, "through": gate["out"] - found.get(("verge_motion_skipped_total", None), 0), "dropped": gate["dropped"] + gate["failed"],
            **woken}


def check_stillness(programs, folder, film, verdicts):
    camera = RtspCamera(PORT, make_film(film, folder))
    (folder / "still.yaml").write_text(PIPELINE)
    program = Program([programs / "verge-infer", folder / "still.yaml", "--metrics", METRICS], folder / "still.log", {})
    program.start()
    try:
        verdicts.check("still: it learns and rests", until(lambda: counts("saving")["still"] > 0, 2 * ROUND_S + 10))
        # Whole rounds, so that both sources see the same, wherever in the round they began.
        first = {name: counts(name) for name in ("saving", "whole")}
        time.sleep(ROUNDS * ROUND_S)
        last = {name: counts(name) for name in ("saving", "whole")}
    finally:
        program.stop()
    grown = {name: {what: last[name][what] - first[name][what] for what in last[name]} for name in last}
    saving, whole = grown["saving"], grown["whole"]
    verdicts.check("still: far fewer pictures are decoded", saving["decoded"] <= 0.6 * whole["decoded"],
                   f"{saving['decoded']} of {saving['received']}, beside {whole['decoded']}")
    verdicts.check("still: those left out are counted as still", saving["still"] >= 0.4 * saving["received"] and whole["still"] == 0,
                   f"{saving['still']}")
    # Some may be held, or be inside a decoder, when it is counted.
    rest = saving["received"] - sum(saving[what] for what in ("decoded", "skipped", "still", "broken"))
    verdicts.check("still: every picture is counted once", abs(rest) <= 2 * GROUP and saving["broken"] == 0, f"{saving}")
    verdicts.check("still: the block woke it, every time", saving["size"] + saving["picture"] >= ROUNDS, f"{saving['size']}, {saving['picture']}")
    verdicts.check("still: as many pictures go through the gate", saving["dropped"] == 0 and abs(saving["through"] - whole["through"]) <= 4,
                   f"{saving['through']} and {whole['through']}")
    return camera
