"""Many cameras in one process: how many of the pictures that are due get analysed, and what a camera costs in memory.

    ./dev bench cameras [--json] [--plot FILE.svg]

The mix (SITES): RTSP cameras with H.264 at 15 pictures a second play the packaged film while something moves and an empty
scene with sensor noise while nothing does; half of the streams have B pictures. The pipeline is a user's: 5 pictures a second,
the motion gate, detection, tracking. A picture is due when the rate and the gate let it through; what was dropped before
the gate could judge it counts as due, too. Counted by the pipeline's own metrics and, for what never came in, by what the
feeder wrote: share = analysed / (analysed + dropped or failed) * received / due to be sent. Feeder and pipeline share the same cores (--cores); the feeder's
processor time is stated apart. The peer is peers/camera_loop.py: OpenCV's VideoCapture in a thread per camera, the same
gate in spirit, ONNX Runtime with one session for all.
"""
import argparse
import collections
import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

import figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
FPS, ANALYSED_FPS, GROUP = 15, 5, 60
PHASE_S = GROUP // FPS  # A script changes only at key pictures.
PHASES = 5
METRICS_PORT, FIRST_PORT = 19640, 19650
LEAD_GROUPS = 2  # All begin still, so that the gates learn the empty scene; who connects waits for the first key picture.
WARM_UP_S, SLICE_S = 9, 4
MEMORY_COUNTS = (1, 6, 16)
SHARE_MIN = 0.1  # So that ratios stay finite.

Site = collections.namedtuple("Site", "work what size bitrate cameras moving_phases begins motion track mb_max")
SITES = [
    Site("vision.cameras", "8 x 1080p, each moving 40 % of the time, 3 or 4 at a time", (1920, 1080), "4M", 8, 2, (0, 1, 2, 3, 4, 0, 2, 3),
         "still_fps: 0.5, hold_s: 0.5, area_min: 0.004", "", 25),
    # Still pictures are rarer here, so tracks must outlive the time between them.
    Site("vision.cameras.sub", "30 x 640x360, one in five moving", (640, 360), "600k", 30, 1, (0, 1, 2, 3, 4),
         "still_fps: 0.2, hold_s: 0.5, area_min: 0.004", "lost_s: 6", 6),
]

PIPELINE = """purpose: Many cameras.
version: 1
sources:
{sources}
stages:
  - motion: {{{motion}}}
  - detect: {{model: {model}, labels: [person]}}
  - track: {{{track}}}
sinks:
  - file: {{path: {events}}}
"""


# -- films


def make_films(folder, film):
    """For each size, with and without B pictures: the moving film and the empty scene; once."""
    ready = folder / "ready"
    if ready.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    empty = folder / "empty.png"  # Nobody stands still for most of the film.
    subprocess.run([*ffmpeg, "-i", film, "-vf", "select=not(mod(n\\,20)),tmedian=radius=18", "-vsync", "0", "-frames:v", "1", empty], check=True)
    for site in SITES:
        width, height = site.size
        picture = f"scale={width}:{height},noise=alls=4:allf=t"
        for b_pictures in (0, 1):
            def encode(name, source, pictures):
                codec = ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-crf", "25",
                         "-maxrate", site.bitrate, "-bufsize", site.bitrate, "-g", str(GROUP), "-bf", str(b_pictures),
                         "-x264-params", f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:b-adapt=0:b-pyramid=none:ref=1"]
                target = folder / f"{name}-{height}-{b_pictures}.h264"
                subprocess.run([*ffmpeg, *source, "-frames:v", str(pictures), "-vf", picture, "-an", *codec, "-f", "h264", target], check=True)

            # Played at 15 pictures a second the film's people hurry. Nobody stands still in this part: who does is learned
            # as background, and when he has gone the place moves for the gate until that is forgotten.
            encode("moving", ["-r", str(FPS), "-i", film], 2 * GROUP)
            encode("still", ["-loop", "1", "-r", str(FPS), "-i", empty], 3 * GROUP)
    ready.touch()


def make_model(options, folder, film):
    """NanoDet of the catalogue in 8 bits, calibrated on pictures of the film, as the tool makes it; both sides run it."""
    whole, small, pictures = folder / "models" / "people", folder / "models" / "people-int8", folder / "calibration"
    for place in (whole, small, pictures):  # What an earlier tool made is not what is measured.
        shutil.rmtree(place, ignore_errors=True)
    pictures.mkdir(parents=True)
    tool = [options.bin / "verge", "model"]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", film, "-vf", "select=not(mod(n\\,20))", "-vsync", "0", "-q:v", "2",
                    pictures / "%02d.jpg"], check=True)
    subprocess.run([*tool, "import", "nanodet-coco", "--out", whole], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*tool, "quantize", whole, "--calibration", pictures, "--out", small, "--agree", "0.95"], check=True, stdout=subprocess.DEVNULL)
    return small


def plan_of(site, count, films):
    """What the feeder plays: `moving_phases` of five phases moving, the others still."""
    cameras = []
    for i in range(count):
        height, b_pictures = site.size[1], i % 2
        moving, still = films / f"moving-{height}-{b_pictures}.h264", films / f"still-{height}-{b_pictures}.h264"
        script = [(str(moving), site.moving_phases * GROUP), (str(still), (PHASES - site.moving_phases) * GROUP)]
        cameras.append({"port": FIRST_PORT + i, "fps": FPS, "script": script, "lead": (str(still), LEAD_GROUPS * GROUP),
                        "begin": site.begins[i % len(site.begins)] * GROUP})
    return cameras


# -- processes


def processor_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    """Resident, proportional and anonymous."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.search(rf"^{name}: +(\d+)", text, re.M)[1]) / 1024 for name in ("Rss", "Pss", "Anonymous")}


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


class Child:
    """A program on the given cores; ended by its pid."""

    def __init__(self, words, cores, **how):
        self.process = subprocess.Popen([str(word) for word in words], preexec_fn=lambda: os.sched_setaffinity(0, cores), **how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self):
        return self.process.pid


class Feeder(Child):
    def __init__(self, plan, folder, cores):
        file = folder / "plan.json"
        file.write_text(json.dumps(plan))
        super().__init__(["python3", ROOT / "bench/camera_feeder.py", file], cores, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("bench: the feeder did not start; its message is above")

    def counts(self):
        """Pictures that were due to be sent, and those sent, of all cameras."""
        cameras = self.each()
        return {name: sum(camera[name] for camera in cameras) for name in ("due", "sent")}

    def each(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return list(json.loads(self.process.stdout.readline()).values())


class Ours(Child):
    def __init__(self, options, site, plan, folder, model, cores):
        sources = "\n".join(f"  c{i:02}: {{kind: camera, url: 'rtsp://127.0.0.1:{camera['port']}/live', fps: {ANALYSED_FPS}}}"
                            for i, camera in enumerate(plan))
        file, self.log = folder / "pipeline.yaml", folder / "infer.log"
        file.write_text(PIPELINE.format(sources=sources, motion=site.motion, track=site.track, model=model, events=folder / "events"))
        with open(self.log, "wb") as log:
            super().__init__([options.bin / "verge-infer", "--pipeline", file, "--metrics", f"127.0.0.1:{METRICS_PORT}"], cores,
                             stdout=subprocess.DEVNULL, stderr=log)

    def counts(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10).read().decode()
        sums = collections.Counter()
        for name, labels, value in re.findall(r"^(\w+)\{([^}]*)\} (\S+)$", text, re.M):
            words = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            sums[name, words.get("stage"), words.get("result")] += float(value)
        stage = lambda name, result: sums["verge_stage_packets_total", name, result]
        skipped = sums["verge_motion_skipped_total", None, None]
        return {"received": sums["verge_camera_pictures_total", None, "received"],
                "decoded": sums["verge_camera_pictures_total", None, "decoded"],
                "picked": sums["verge_camera_pictures_total", None, "shown"],
                "due": stage("motion", "in") - skipped, "analysed": stage("detect", "out"),
                "dropped": stage("motion", "dropped") + stage("detect", "dropped") + stage("detect", "failed"),
                "detect_s": sums["verge_inference_seconds_sum", "detect", None],
                "detect_runs": sums["verge_inference_seconds_count", "detect", None]}


class Peer(Child):
    def __init__(self, options, site, plan, folder, model, cores):
        python = options.cache / "bench/venv/bin/python"
        urls = [f"rtsp://127.0.0.1:{camera['port']}/live" for camera in plan]
        super().__init__([python, ROOT / "bench/peers/camera_loop.py", model, str(FPS // ANALYSED_FPS), *urls], cores,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp"})

    def counts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


# -- measuring


def difference(after, before):
    return {name: after[name] - before[name] for name in after}


def share_of(counts, sent):
    """Percent of the due pictures that were analysed, SHARE_MIN at least; of those whose fate is known by now."""
    decided = counts["analysed"] + counts["dropped"]
    if decided <= 0 or sent["due"] <= 0:
        return SHARE_MIN
    return max(SHARE_MIN, 100.0 * counts["analysed"] / decided * min(1.0, counts["received"] / sent["due"]))


def run_site(side, options, site, count, slices, films, model):
    """Shares of slices, and what the whole time cost."""
    plan = plan_of(site, count, films)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with Feeder(plan, folder, options.feeder_cores) as feeder, side(options, site, plan, folder, model, options.our_cores) as program:
            time.sleep(WARM_UP_S)
            for _ in range(200):  # A second of each camera's pictures was sent, and some came in.
                with contextlib.suppress(OSError, ValueError):
                    if all(camera["sent"] > FPS for camera in feeder.each()) and program.counts()["received"] > 0:
                        break
                time.sleep(0.2)
            begun, cpu, feeder_cpu = time.monotonic(), processor_s(program.pid), processor_s(feeder.pid)
            first = before = program.counts()
            first_sent = sent_before = feeder.counts()
            shares = []
            for i in range(slices):
                time.sleep(max(0.0, begun + (i + 1) * SLICE_S - time.monotonic()))
                now, sent = program.counts(), feeder.counts()
                shares.append(share_of(difference(now, before), difference(sent, sent_before)))
                before, sent_before = now, sent
            seconds = time.monotonic() - begun
            whole, whole_sent = difference(before, first), difference(sent_before, first_sent)
            return {"cameras": count, "shares": shares, "share": share_of(whole, whole_sent), "seconds": round(seconds, 1),
                    "counts": {key: round(value, 2) for key, value in whole.items()}, "fed": whole_sent,
                    "cores_busy": round((processor_s(program.pid) - cpu) / seconds, 3),
                    "feeder_cores_busy": round((processor_s(feeder.pid) - feeder_cpu) / seconds, 3),
                    "threads": threads_of(program.pid),
                    "memory_mb": {key: round(value, 1) for key, value in memory_mb(program.pid).items()}}


def slope(points):
    """Least squares: y over x; 0 of a single point."""
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = (sum(point[i] for point in points) / len(points) for i in (0, 1))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def measure_site(options, site, films, model, output):
    sides = {"ours": Ours, **({} if options.no_peer else {"opencv-threads": Peer})}
    steps = {}
    for name, side in sides.items():
        steps[name] = []
        for count in sorted({*(options.counts if name == "ours" else options.counts[:1]), site.cameras}):
            is_main = count == site.cameras
            done = run_site(side, options, site, count, options.cycles * PHASES if is_main else 1, films, model)
            steps[name].append(done)
            output.say(f"{site.work} {name} {count} cameras: {done['share']:.1f} % of {done['counts']['due']:.0f} due, {done['cores_busy']} cores "
                       f"(feeder {done['feeder_cores_busy']}), {done['memory_mb']['Rss']:.0f} MB, {done['threads']} threads")
    mains = {name: next(step for step in done if step["cameras"] == site.cameras) for name, done in steps.items()}
    slopes = {name: {kind: round(slope([(step["cameras"], step["memory_mb"][kind]) for step in done if step["cameras"] <= 16 or name != "ours"]), 2)
                     for kind in ("Rss", "Anonymous")} for name, done in steps.items()}
    brief = lambda step: {key: step[key] for key in ("cameras", "share", "counts", "fed", "cores_busy", "feeder_cores_busy", "threads", "memory_mb")}
    about = {"what": site.what, "fps": FPS, "analysed_fps": ANALYSED_FPS, "cores_used": len(options.our_cores), "model": model.name,
             "steps": {name: [brief(step) for step in done] for name, done in steps.items()}, "mb_per_camera_max": site.mb_max,
             "mb_per_camera": slopes, **figures.machine()}
    ours = mains["ours"]
    peer_name = next((name for name in mains if name != "ours"), "none")
    peer = mains.get(peer_name, ours)
    output.show(figures.result(site.work, ours["shares"], "% of due", peer_name, peer["shares"], about))
    if slopes["ours"]["Rss"] == 0:
        return {"site": site, "steps": steps}
    memory = {"what": "resident MB that one more camera costs: slope over 1 to 16", "kinds": slopes, **figures.machine()}
    output.show(figures.result(f"{site.work}.memory", [slopes["ours"]["Rss"]], "MB", peer_name, [slopes.get(peer_name, slopes["ours"])["Rss"]], memory))
    return {"site": site, "steps": steps}


# -- plot


def plot(path, results):
    """Two rows (share, memory) by two columns (sizes), as SVG that reads on light and dark."""
    width, height, left, top = 360, 190, 52, 34
    colours = {"ours": "#0f8b8d", "opencv-threads": "#d1603d"}
    body = []
    for column, result in enumerate(results):
        for row, (title, value, unit) in enumerate((("analysed, % of due", lambda step: step["share"], "%"),
                                                    ("resident memory, MB", lambda step: step["memory_mb"]["Rss"], "MB"))):
            x0, y0 = left + column * (width + 30), top + row * (height + 56)
            steps = [step for done in result["steps"].values() for step in done]
            x_max = max(step["cameras"] for step in steps)
            y_max = 100 if unit == "%" else 100 * math.ceil(max(value(step) for step in steps) / 100)
            place = lambda x, y: (x0 + (width - 60) * x / x_max, y0 + height - 40 - (height - 60) * y / y_max)
            body.append(f'<text x="{x0}" y="{y0 - 6}" class="t">{result["site"].size[0]}x{result["site"].size[1]}: {title}</text>')
            for part in (0, 0.5, 1):
                y = place(0, y_max * part)[1]
                body.append(f'<line x1="{x0}" x2="{x0 + width - 60}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>'
                            f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{y_max * part:.0f}</text>')
            for count in sorted({step["cameras"] for step in steps}):
                body.append(f'<text x="{place(count, 0)[0]:.1f}" y="{y0 + height - 22}" text-anchor="middle">{count}</text>')
            body.append(f'<text x="{x0 + width - 60}" y="{y0 + height - 4}" text-anchor="end">cameras</text>')
            for i, (name, done) in enumerate(result["steps"].items()):
                points = [place(step["cameras"], value(step)) for step in done]
                line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                body.append(f'<polyline points="{line}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
                body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in points]
                if row == 0:
                    body.append(f'<text x="{x0 + 90 * i}" y="{y0 + height - 4}" style="fill:{colours[name]}">{name}</text>')
    size = f'{left + 2 * (width + 30)} {top + 2 * (height + 56)}'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" aria-label="Analysed share and memory over cameras">'
                    '<style>text{font:12px sans-serif;fill:#444}.t{font-weight:600}.g{stroke:#8886}'
                    '@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>' + "".join(body) + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench cameras", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--only", choices=[site.work for site in SITES])
    parser.add_argument("--cores", type=int, default=2, help="cores for the pipeline (and the feeder, where there are no others)")
    parser.add_argument("--cycles", type=int, default=1, help=f"rounds of the cameras' script of {PHASES * PHASE_S} s")
    parser.add_argument("--counts", type=lambda text: [int(word) for word in text.split(",") if word], default=list(MEMORY_COUNTS),
                        help="numbers of cameras beside the site's own, for memory and plot")
    parser.add_argument("--model", type=pathlib.Path, help="model folder for both sides; default: NanoDet in 8 bits")
    parser.add_argument("--plot", type=pathlib.Path, help="writes the plot as SVG")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--bin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    folder = options.cache / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    film = options.cache / "media" / "film" / "vtest.avi"
    model = (options.model or make_model(options, folder, film)).resolve()
    films = folder / "cameras"
    make_films(films, film)
    cores = sorted(os.sched_getaffinity(0))
    options.our_cores = set(cores[: options.cores])
    options.feeder_cores = set(cores[options.cores :]) or options.our_cores
    output = figures.Output(options.json)
    results = [measure_site(options, site, films, model, output) for site in SITES if options.only in (None, site.work)]
    if options.plot:
        plot(options.plot, results)


if __name__ == "__main__":
    main()
