"""Picture to boxes, ours beside OpenCV + ONNX Runtime in Python, and our pipeline beside the bare run of the model.

All sides run as programs of their own on the same one core (or as many as threads), wait while another one works, and
take the same pictures of the packaged film. One pair is a slice of ours and a slice of the peer's; who begins changes
from round to round. A round starts the programs anew and takes one pair of each work: where a program's memory happens
to lie moves a run of the model by some percent for as long as it lives, so pairs of one start would all share that luck.
"""
import argparse
import array
import contextlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request

import figures
from figures import Side, resident_mb

ROOT = pathlib.Path(__file__).resolve().parent.parent

WARM_UP_PICTURES = 4
CONTENDED_SLICES = 4  # Slices so much longer: the system shares processors out over seconds, and a slice's ends count less.

# work, our program and command, the peer's name, program and command, what a reader should know
WORKS = [
    ("vision.whole", "ours whole", "opencv", "python whole", "film file to boxes: both sides decode, prepare, run, read"),
    ("vision.frame", "ours frame", "opencv", "python frame", "decoded picture (ours yuv420, peer's BGR) to boxes"),
    ("vision.whole.int8", "ours-int8 frame", "opencv", "python frame",
     "decoded picture to boxes; ours with the network in 8 bits under a gate of accuracy, the peer in float32"),
    ("vision.overhead", "ours frame", "bare-run", "ours bare", "decoded picture to boxes through the executor; bare: run"),
    ("vision.overhead", "ours frame", "python-bare-run", "python bare", "the same; bare: session.run of Python's runtime"),
    ("vision.chain", "ours chain", "bare-run", "ours bare", "every stage of the example: detect, track, zone, line"),
    ("vision.prepost.640", "pictures prepost", "opencv", "opencv prepost", "decoded 1080p picture to 640 x 640 floats, YOLOv8 numbers to boxes"),
    ("vision.prepost.640.uint8", "pictures prepost8", "opencv", "opencv prepost", "the same with bytes for the network; the peer makes floats"),
    ("vision.jpeg", "pictures jpeg", "imdecode", "opencv jpeg", "1080p JPEG in memory to 640 x 640 floats"),
    ("vision.jpeg", "pictures jpeg", "imdecode-reduced", "opencv jpeg-reduced", "the same; the peer decodes to half of the size, ours to the whole"),
    ("vision.h264", "pictures h264", "videocapture", "opencv h264", "1080p H.264 film to 640 x 640 floats"),
    *((f"vision.knn{data}", f"nearest{data} {ours}", peer, f"python-nearest{data} {peer}", what)
      for data, what in ((".random", "784 x 384 against 16,000 independent numbers, as bad as it gets; the nearest of each"),
                         (".patches", "the same of 64 mixed directions, as patches of pictures are"))
      for ours, peer in (("exact", "sklearn"), ("exact", "numpy"), ("float", "numpy"))),
    ("vision.contended", "ours-all cameras", "opencv-default-threads", "python-default frame",
     "as vision.frame on all cores while another program keeps one busy; ours: two cameras and the defaults (a run has one"
     " thread, as many runs at once as processors); the peer's runtime with its own choice of threads"),
    ("vision.contended.one_camera", "ours-all frame", "opencv-default-threads", "python-default frame",
     "the same with one camera; ours with as many threads as processors"),
]
RSS = ("vision.rss", "a pipeline that plays the film and detects, beside the Python loop doing the same; resident memory")
RSS_PICTURES = 30
ON_ALL_CORES = ("ours-all", "python-default")


class Competitor:
    """A program that wants a whole core, for as long as this lasts."""

    def __enter__(self):
        self._process = subprocess.Popen(["sh", "-c", "while :; do :; done"])

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


class Work:
    """One line of WORKS with what its pairs gave."""

    def __init__(self, line, options):
        self.name, ours, self.peer_name, peer, self.what = line
        self.side, self.command = ours.split()
        self.peer_side, self.peer_command = peer.split()
        self.is_contended = self.name.startswith("vision.contended")
        self.pictures = options.pictures * (CONTENDED_SLICES if self.is_contended else 1)
        self.seconds, self.processor_s, self.objects = ([], []), ([], []), [0, 0]  # Of ours, of the peer.

    def take_pair(self, sides, is_peer_first):
        with Competitor() if self.is_contended else contextlib.nullcontext():
            self._take_pair(sides, is_peer_first)

    def _take_pair(self, sides, is_peer_first):
        runs = [(sides[self.side], self.command), (sides[self.peer_side], self.peer_command)]
        for side, command in runs:
            side.run(command, WARM_UP_PICTURES)
        for index in (1, 0) if is_peer_first else (0, 1):
            answer = runs[index][0].run(runs[index][1], self.pictures)
            self.seconds[index].append(answer["seconds"])
            self.processor_s[index].append(answer["processor_s"])
            self.objects[index] += answer["objects"]

    def progress(self):
        ours, peer = (statistics.median(side) / self.pictures * 1e3 for side in self.seconds)
        return f"{self.name} beside {self.peer_name} {ours:.1f} and {peer:.1f} ms"

    def show(self, output, engines, options, cores):
        about = {
            "what": self.what,
            **({"agreement": options.agreement} if self.side == "ours-int8" else {}),
            "threads": options.threads,
            "cores_used": len(cores),
            "spinning": False,
            **({"threads": "all", "cores_used": os.cpu_count(), "spinning": "peer"} if self.is_contended else {}),
            "pictures_per_slice": self.pictures,
            "engines": {side: engines[side] for side in (self.side, self.peer_side)},
            "boxes": {"ours": self.objects[0], "peer": self.objects[1]},
            **figures.machine(),
        }
        # Processor time is what the wall clock would say on a machine that does nothing else: neighbours do not count.
        for name, unit, times in ((self.name, "ms", self.seconds), (f"{self.name}.processor", "cpu ms", self.processor_s)):
            ours, peer = ([value / self.pictures * 1e3 for value in side] for side in times)
            output.show(figures.result(name, ours, unit, self.peer_name, peer, about))


def make_pictures(folder, film):
    """A minute's worth of what cameras send, in 1920 x 1080: the packaged film enlarged, and numbers as a YOLOv8 head gives."""
    big, jpegs, head = folder / "street.mp4", folder / "jpegs", folder / "head.f32"
    if not head.exists():
        shutil.rmtree(folder, ignore_errors=True)
        jpegs.mkdir(parents=True)
        ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
        codec = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "5700k", "-g", "60"]
        subprocess.run([*ffmpeg, "-i", film, "-frames:v", "300", "-vf", "scale=1920:1080", "-r", "30", "-an", *codec, big], check=True)
        subprocess.run([*ffmpeg, "-i", big, "-frames:v", "15", "-vf", "select=not(mod(n\\,20))", "-vsync", "0", "-q:v", "3",
                        "-pix_fmt", "yuvj420p", jpegs / "%02d.jpg"], check=True)
        head.write_bytes(head_numbers().tobytes())
    return ["--film", big, "--jpegs", jpegs, "--head", head]


def head_numbers():
    """[84, 8400]: 300 boxes of 80 labels above the threshold, all else below."""
    cells, draw = 8400, random.Random(1)
    numbers = array.array("f", (draw.random() * 0.02 for _ in range(84 * cells)))
    for cell in draw.sample(range(cells), 300):
        for row, (low, high) in enumerate(((60, 580), (60, 580), (20, 120), (20, 120))):
            numbers[row * cells + cell] = draw.uniform(low, high)
        numbers[(4 + draw.randrange(80)) * cells + cell] = draw.uniform(0.3, 0.95)
    return numbers


PIPELINE = """
version: 1
sources:
  square: {{kind: camera, url: {film}, loop: true, pace: false}}
stages:
  - detect: {{model: {model}, labels: [person], threads: 1}}
sinks:
  - file: {{path: {events}}}
"""
METRICS = "127.0.0.1:19601"


def pipeline_memory(options, model, film, cores):
    """Resident MB of verge-infer after it has detected in RSS_PICTURES pictures."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "pipeline.yaml"
        file.write_text(PIPELINE.format(film=film, model=model, events=pathlib.Path(folder) / "events"))
        process = subprocess.Popen(
            [options.bin / "verge-infer", "--pipeline", file, "--metrics", METRICS],
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        try:
            for _ in range(300):
                time.sleep(0.1)
                with contextlib.suppress(OSError):
                    text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=2).read().decode()
                    runs = [float(line.split()[1]) for line in text.splitlines() if line.startswith("verge_inference_seconds_count")]
                    if runs and runs[0] >= RSS_PICTURES:
                        return resident_mb(process.pid)
            raise SystemExit("bench: verge-infer did not detect anything in 30 s")
        finally:
            process.terminate()
            process.wait(timeout=30)


def measure_memory(options, commands, model, film, cores, output):
    name, what = RSS
    ours, peer = [], []
    for _ in range(options.pairs):
        ours.append(pipeline_memory(options, model, film, cores))
        side = Side(commands["python"], cores)
        side.run("whole", RSS_PICTURES)
        peer.append(side.resident_mb())
        side.end()
    about = {"what": what, "threads": options.threads, **figures.machine()}
    output.show(figures.result(name, ours, "MB", "python-opencv", peer, about))


AGREE_MIN = 0.98
CALIBRATION_STEP = 4  # Every fourth picture of the film: neighbours are nearly the same.


def make_small_model(options, model, film, folder):
    """The model in 8 bits, calibrated on the film; returns its folder and how it agrees with the float32 one on pictures
    that were not used for anything else. `verge model quantize` refuses when that is not enough."""
    pictures, small = folder / "film", folder / "people-int8"
    if not pictures.exists():
        pictures.mkdir(parents=True)
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", film, "-vf", f"select=not(mod(n\\,{CALIBRATION_STEP}))", "-vsync", "0",
                        "-q:v", "1", "-pix_fmt", "yuvj420p", pictures / "%04d.jpg"], check=True)
    shutil.rmtree(small, ignore_errors=True)
    quantized = subprocess.run([options.bin / "verge", "model", "quantize", model, "--calibration", pictures, "--out", small,
                                "--agree", str(AGREE_MIN), "-o", "json"], stdout=subprocess.PIPE, text=True)
    if quantized.returncode != 0:
        raise SystemExit(f"bench: verge model quantize refused: {quantized.stdout.strip()}")
    said = json.loads(quantized.stdout)
    return small, {key: said[key] for key in ("judged", "float_answers", "found_again", "precision", "layers", "float_layers", "weight_bits")}


def make_vectors(folder):
    """Files of 16,000 rows and 784 queries for each kind of data, by numpy of the peers."""
    if not (folder / "patches.queries").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([folder.parent / "venv/bin/python", ROOT / "bench/peers/make_vectors.py", folder], check=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench vision", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--pairs", type=int, default=31, help="interleaved pairs per work, each of freshly started programs (15 or more)")
    parser.add_argument("--pictures", type=int, default=16, help="pictures per slice")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run; as many cores are used")
    parser.add_argument("--only", help="one work, such as vision.whole")
    parser.add_argument("--bin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pairs < 15:
        parser.error("--pairs must be at least 15: fewer say nothing")

    folder = options.cache / "bench"
    model = folder / "models" / "people"
    shutil.rmtree(model, ignore_errors=True)  # What an earlier importer made is not what is measured.
    subprocess.run([options.bin / "verge", "model", "import", "nanodet-coco", "--out", model], check=True, stdout=subprocess.DEVNULL)
    film = options.cache / "media" / "film" / "vtest.avi"
    cores = sorted(os.sched_getaffinity(0))[-options.threads :]
    output = figures.Output(options.json)
    vectors = folder / "vectors"
    make_vectors(vectors)
    pictures = make_pictures(folder / "pictures", film)
    every = os.sched_getaffinity(0)

    def ours(threads, model=model):
        return [
            options.bin / "verge-bench-vision",
            *("--model", model, "--film", film, "--threads", str(threads)),
            *("--pipeline", ROOT / "examples" / "first_light" / "vision.yaml"),
        ]

    def python(threads):
        return [folder / "venv/bin/python", ROOT / "bench/peers/vision_loop.py", model, film, str(threads)]

    small = model
    if options.only in (None, "vision.whole.int8"):
        small, options.agreement = make_small_model(options, model, film, folder / "quantized")
    commands = {
        "ours": ours(options.threads),
        "ours-int8": ours(options.threads, small),
        "python": python(options.threads),
        "ours-all": ours(len(every)),
        "python-default": python(0),
        **{f"nearest.{data}": [options.bin / "verge-bench-nearest", "--bank", vectors / f"{data}.bank", "--queries",
                               vectors / f"{data}.queries", "--threads", str(options.threads)] for data in ("random", "patches")},
        **{f"python-nearest.{data}": [folder / "venv/bin/python", ROOT / "bench/peers/nearest_loop.py", vectors / f"{data}.bank",
                                      vectors / f"{data}.queries", "384", str(options.threads)] for data in ("random", "patches")},
        "pictures": [options.bin / "verge-bench-pictures", *pictures],
        "opencv": [folder / "venv/bin/python", ROOT / "bench/peers/picture_loop.py", *pictures[1::2]],
    }
    names = sorted({line[0] for line in WORKS} | {RSS[0]})
    if options.only not in (None, *names):
        parser.error(f"--only {options.only}: there are {', '.join(names)}")
    if options.only in (None, RSS[0]):
        measure_memory(options, commands, model, film, cores, output)
    works = [Work(line, options) for line in WORKS if options.only in (None, line[0])]
    needed = {side for work in works for side in (work.side, work.peer_side)}
    for pair in range(options.pairs):
        sides = {name: Side(command, every if name in ON_ALL_CORES else cores) for name, command in commands.items() if name in needed}
        for work in works:
            work.take_pair(sides, pair % 2 == 1)
        engines = {name: side.engine for name, side in sides.items()}
        for side in sides.values():
            side.end()
        if works and ((pair + 1) % 5 == 0 or pair + 1 == options.pairs):
            output.say(f"pair {pair + 1} of {options.pairs}: {'; '.join(work.progress() for work in works)}")
    for work in works:
        work.show(output, engines, options, cores)


main()
