"""Picture to boxes, ours beside OpenCV + ONNX Runtime in Python, and our pipeline beside the bare run of the model.

Both sides run as programs of their own on the same one core (or as many as threads), wait while the other one works,
and take the same pictures of the packaged film. One pair is a slice of ours and a slice of the peer's; who begins
changes from pair to pair.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

import figures

ROOT = pathlib.Path(__file__).resolve().parent.parent

# work, our command, the peer's name, its program and command, what a reader should know
WORKS = [
    ("vision.whole", "whole", "opencv", "python", "whole", "film file to boxes: both sides decode, prepare, run, read"),
    ("vision.frame", "frame", "opencv", "python", "frame", "decoded picture (ours yuv420, peer's BGR) to boxes"),
    ("vision.overhead", "frame", "bare-run", "ours", "bare", "decoded picture to boxes through the executor; bare: run"),
    ("vision.overhead", "frame", "python-bare-run", "python", "bare", "the same; bare: session.run of Python's runtime"),
    ("vision.chain", "chain", "bare-run", "ours", "bare", "every stage of the example: detect, track, zone, line"),
]


class Side:
    def __init__(self, command, cores):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self.engine = self._answer()["ready"]

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self._process.args[0]} ended; its message is above")
        return json.loads(line)

    def run(self, work, count):
        self._process.stdin.write(f"{work} {count}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


def measure(output, sides, options, work, cores):
    name, our_command, peer_name, peer_side, peer_command, what = work
    ours_ms, peer_ms, our_objects, peer_objects = [], [], 0, 0
    ours_processor_ms, peer_processor_ms = [], []
    for pair in range(-1, options.pairs):  # The first one warms up.
        runs = [(sides["ours"], our_command), (sides[peer_side], peer_command)]
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        answers = [None, None]
        for index in order:
            answers[index] = runs[index][0].run(runs[index][1], options.pictures)
        if pair < 0:
            continue
        ours_ms.append(answers[0]["seconds"] / options.pictures * 1e3)
        peer_ms.append(answers[1]["seconds"] / options.pictures * 1e3)
        ours_processor_ms.append(answers[0]["processor_s"] / options.pictures * 1e3)
        peer_processor_ms.append(answers[1]["processor_s"] / options.pictures * 1e3)
        our_objects += answers[0]["objects"]
        peer_objects += answers[1]["objects"]
        if (pair + 1) % 10 == 0 or pair + 1 == options.pairs:
            medians = f"{statistics.median(ours_ms):.2f} and {statistics.median(peer_ms):.2f} ms"
            output.say(f"{name} beside {peer_name}: pair {pair + 1} of {options.pairs}, so far {medians}")
    about = {
        "what": what,
        "threads": options.threads,
        "cores_used": len(cores),
        "spinning": False,
        "pictures_per_slice": options.pictures,
        "engines": {side: sides[side].engine for side in ("ours", peer_side)},
        "boxes": {"ours": our_objects, "peer": peer_objects},
        **figures.machine(),
    }
    output.show(figures.result(name, ours_ms, "ms", peer_name, peer_ms, about))
    # What the wall clock would say on a machine that does nothing else: neighbours do not count.
    processor = (ours_processor_ms, "cpu ms", peer_name, peer_processor_ms, about)
    output.show(figures.result(f"{name}.processor", *processor))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench vision", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--pairs", type=int, default=31, help="interleaved pairs per work (15 or more)")
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
    if not (model / "card.json").exists():
        subprocess.run([options.bin / "verge", "model", "import", "nanodet-coco", "--out", model], check=True, stdout=subprocess.DEVNULL)
    film = options.cache / "media" / "film" / "vtest.avi"
    cores = sorted(os.sched_getaffinity(0))[-options.threads :]
    output = figures.Output(options.json)
    sides = {
        "ours": Side(
            [
                options.bin / "verge-bench-vision",
                *("--model", model, "--film", film, "--threads", str(options.threads)),
                *("--pipeline", ROOT / "examples" / "first_light" / "vision.yaml"),
            ],
            cores,
        ),
        "python": Side(
            [folder / "venv/bin/python", ROOT / "bench/peers/vision_loop.py", model, film, str(options.threads)], cores
        ),
    }
    for work in WORKS:
        if options.only in (None, work[0]):
            measure(output, sides, options, work, cores)
    for side in sides.values():
        side.end()


main()
