"""Picture to boxes, ours beside OpenCV + ONNX Runtime in Python, and our pipeline beside the bare run of the model.

Both sides run as programs of their own on the same one core (or as many as threads), wait while the other one works,
and take the same pictures of the packaged film. One pair is a slice of ours and a slice of the peer's; who begins
changes from round to round. A round starts both programs anew and takes one pair of each work: where a program's memory
happens to lie moves a run of the model by some percent for as long as it lives, so pairs of one start would all share
that luck.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess

import figures

ROOT = pathlib.Path(__file__).resolve().parent.parent

WARM_UP_PICTURES = 4

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


class Work:
    """One line of WORKS with what its pairs gave."""

    def __init__(self, line, options):
        self.name, self.command, self.peer_name, self.peer_side, self.peer_command, self.what = line
        self.pictures = options.pictures
        self.seconds, self.processor_s, self.objects = ([], []), ([], []), [0, 0]  # Of ours, of the peer.

    def take_pair(self, sides, is_peer_first):
        runs = [(sides["ours"], self.command), (sides[self.peer_side], self.peer_command)]
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
            "threads": options.threads,
            "cores_used": len(cores),
            "spinning": False,
            "pictures_per_slice": self.pictures,
            "engines": {side: engines[side] for side in ("ours", self.peer_side)},
            "boxes": {"ours": self.objects[0], "peer": self.objects[1]},
            **figures.machine(),
        }
        # Processor time is what the wall clock would say on a machine that does nothing else: neighbours do not count.
        for name, unit, times in ((self.name, "ms", self.seconds), (f"{self.name}.processor", "cpu ms", self.processor_s)):
            ours, peer = ([value / self.pictures * 1e3 for value in side] for side in times)
            output.show(figures.result(name, ours, unit, self.peer_name, peer, about))


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
    commands = {
        "ours": [
            options.bin / "verge-bench-vision",
            *("--model", model, "--film", film, "--threads", str(options.threads)),
            *("--pipeline", ROOT / "examples" / "first_light" / "vision.yaml"),
        ],
        "python": [folder / "venv/bin/python", ROOT / "bench/peers/vision_loop.py", model, film, str(options.threads)],
    }
    works = [Work(line, options) for line in WORKS if options.only in (None, line[0])]
    if not works:
        parser.error(f"--only {options.only}: there are {', '.join(sorted({line[0] for line in WORKS}))}")
    for pair in range(options.pairs):
        sides = {name: Side(command, cores) for name, command in commands.items()}
        for work in works:
            work.take_pair(sides, pair % 2 == 1)
        engines = {name: side.engine for name, side in sides.items()}
        for side in sides.values():
            side.end()
        if (pair + 1) % 5 == 0 or pair + 1 == options.pairs:
            output.say(f"pair {pair + 1} of {options.pairs}: {'; '.join(work.progress() for work in works)}")
    for work in works:
        work.show(output, engines, options, cores)


main()
