"""What `while_still: keyframes` saves at cameras in which nothing moves, and whether it loses pictures of what does.

    ./dev bench still_camera [--json]

Saving: CAMERAS cameras, 1920 x 1080, H.264 at 15 pictures a second, a key picture every 4 s, half of them with B pictures,
show an empty scene with sensor noise; behind them is the gate alone. Slices of `all` and of `keyframes` take turns, each with
a freshly started program; processor time is the program's.

Loss: one program watches every camera twice, by `all` and by `keyframes`, while the packaged film's people walk through a window of the
empty scene, for 6 s of every 16, beginning and ending in the middle of a group of pictures. Compared is how many pictures go through the gates.
"""
import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

import cameras
import figures
from cameras import FIRST_PORT, FPS, GROUP, METRICS_PORT, Child, Feeder, processor_s

CAMERAS = 4
WARM_UP_S = 12  # Until it has learned the scene and rests.
SLICE_S = 20
ROUND_S, QUIET_S, WALK_S = 16, 6, 6  # Still, walking, and still again for the rest.
WINDOWS = ("340:280:40:60", "300:300:400:250")  # Width, height, left, top in the film; people pass through both.
PIPELINE = """purpose: Still cameras.
version: 1
sources:
{sources}
stages:
  - motion: {{still_fps: {still_fps}, hold_s: 0.5, area_min: 0.002}}
sinks:
  - file: {{path: {events}}}
"""


def make_walks(folder, film):
    """The empty scene with a window in which people walk; two windows, with and without B pictures."""
    for i, window in enumerate(WINDOWS):
        width, height, left, top = map(int, window.split(":"))
        target = folder / f"walk-{i}.h264"
        if target.exists():
            continue
        begin, end = QUIET_S + 0.4, QUIET_S + 0.4 + WALK_S
        graph = (f"[1:v]setpts=PTS-STARTPTS+{begin}/TB,crop={width}:{height}:{left}:{top}[walk];"
                 f"[0:v][walk]overlay={left}:{top}:enable='between(t,{begin},{end})':eof_action=pass,scale=1920:1080,noise=alls=4:allf=t")
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-loop", "1", "-r", str(FPS), "-i", folder / "empty.png", "-r", str(FPS), "-ss", "4",
                        "-i", film, "-filter_complex", graph, "-frames:v", str(ROUND_S * FPS), "-an", "-c:v", "libx264", "-preset", "veryfast",
                        "-profile:v", "main", "-pix_fmt", "yuv420p", "-crf", "25", "-maxrate", "4M", "-bufsize", "4M", "-g", str(GROUP), "-bf", str(i),
                        "-x264-params", f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:b-adapt=0:b-pyramid=none:ref=1", "-f", "h264", target], check=True)


class Gates(Child):
    """verge-infer with one gate behind each source. sources: (name, port, while_still)"""

    def __init__(self, options, folder, sources, still_fps):
        lines = "\n".join(f"  {name}: {{kind: camera, url: 'rtsp://127.0.0.1:{port}/live', fps: 5, while_still: {while_still}}}"
                          for name, port, while_still in sources)
        file = folder / "pipeline.yaml"
        file.write_text(PIPELINE.format(sources=lines, still_fps=still_fps, events=folder / "events"))
        with open(folder / "infer.log", "wb") as log:
            super().__init__([options.bin / "verge-infer", "--pipeline", file, "--metrics", f"127.0.0.1:{METRICS_PORT}"], os.sched_getaffinity(0),
                             stdout=subprocess.DEVNULL, stderr=log)

    def counts(self, prefix=""):
        """Sums over the sources whose names begin so."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10).read().decode()
        sums = {}
        for name, labels, value in re.findall(r"^(verge_\w+)\{([^}]*)\} (\S+)$", text, re.M):
            words = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if words.get("stream", "").startswith(prefix) and words.get("stage", "motion") == "motion":
                key = name, words.get("result") or words.get("by")
                sums[key] = sums.get(key, 0) + float(value)
        pictures = {what: int(sums.get(("verge_camera_pictures_total", what), 0)) for what in ("received", "decoded", "skipped", "still", "broken")}
        through = sums.get(("verge_stage_packets_total", "out"), 0) - sums.get(("verge_motion_skipped_total", None), 0)
        lost = sum(sums.get(("verge_stage_packets_total", what), 0) for what in ("dropped", "failed"))
        woken = {f"woken_by_{by}": int(sums.get(("verge_camera_woken_total", by), 0)) for by in ("size", "picture")}
        return {**pictures, "through": int(through), "dropped": int(lost), **woken}


def grown(after, before):
    return {what: after[what] - before[what] for what in after}


@contextlib.contextmanager
def playing(options, folder, films, sources, still_fps):
    """A feeder that plays films[i] on port FIRST_PORT + i, and the program, warm."""
    plan = [{"port": FIRST_PORT + i, "fps": FPS, "script": [film], "lead": film, "begin": 0} for i, film in enumerate(films)]
    with Feeder(plan, folder, os.sched_getaffinity(0)) as feeder, Gates(options, folder, sources, still_fps) as program:
        time.sleep(WARM_UP_S)
        yield feeder, program


def measure_saving(options, films, output):
    """Processors per camera by both, in turns."""
    stills = [(str(films / f"still-1080-{i % 2}.h264"), 3 * GROUP) for i in range(CAMERAS)]
    busy, counts = {"all": [], "keyframes": []}, {}
    for _ in range(options.rounds):
        for mode in busy:
            with tempfile.TemporaryDirectory() as name:
                sources = [(f"c{i}", FIRST_PORT + i, mode) for i in range(CAMERAS)]
                with playing(options, pathlib.Path(name), stills, sources, 0.25) as (_, program):
                    before, cpu, begin = program.counts(), processor_s(program.pid), time.monotonic()
                    time.sleep(SLICE_S)
                    seconds = time.monotonic() - begin
                    busy[mode].append((processor_s(program.pid) - cpu) / seconds / CAMERAS)
                    counts[mode] = grown(program.counts(), before)
            output.say(f"{mode}: {busy[mode][-1]:.4f} processors a camera, {counts[mode]}")
    about = {"what": f"{CAMERAS} still cameras, 1080p, H.264, 15 pictures a second, a key picture every 4 s, still_fps 0.25", "counts": counts, **figures.machine()}
    output.show(figures.result("vision.still_camera", busy["keyframes"], "processors per camera", "all", busy["all"], about))


def measure_loss(options, films, output):
    """Pictures through the gates of both, of the same cameras at the same time."""
    walks = [(str(films / f"walk-{i}.h264"), ROUND_S * FPS) for i in range(len(WINDOWS))]
    sources = [(f"{mode}-{i}", FIRST_PORT + i, mode) for mode in ("all", "keyframes") for i in range(len(walks))]
    with tempfile.TemporaryDirectory() as name, playing(options, pathlib.Path(name), walks, sources, 1) as (_, program):
        before = {mode: program.counts(mode) for mode in ("all", "keyframes")}
        time.sleep(options.cycles * ROUND_S)
        counts = {mode: grown(program.counts(mode), before[mode]) for mode in before}
    output.say(str(counts))
    about = {"what": f"{len(walks)} cameras, people for {WALK_S} of {ROUND_S} s, still_fps 1", "counts": counts, **figures.machine()}
    output.show(figures.result("vision.still_camera.loss", [100 * counts["keyframes"]["through"] / max(1, counts["all"]["through"])], "% of pictures through the gate",
                               "all", [100.0], about))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench still_camera", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--rounds", type=int, default=3, help="slices of each mode")
    parser.add_argument("--cycles", type=int, default=4, help=f"rounds of {ROUND_S} s in which loss is measured")
    parser.add_argument("--bin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    films, film = options.cache / "bench" / "cameras", options.cache / "media" / "film" / "vtest.avi"
    cameras.make_films(films, film)
    make_walks(films, film)
    output = figures.Output(options.json)
    measure_saving(options, films, output)
    measure_loss(options, films, output)


main()
