"""Sound to probability of speech and to text, ours beside the peers in Python.

All sides run as programs of their own on the same one core (or as many as threads), wait while another one works, and take
the same clips: those that set-up fetches, or the sound files of --clips. One pair is a slice of ours and a slice of the
peer's; who begins changes from round to round, and every round starts the programs anew.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess

import figures
from figures import Side

ROOT = pathlib.Path(__file__).resolve().parent.parent

BLOCKS = 500  # Of 32 ms, per slice.
STREAMS = 16
WARM_UP = 0.1  # Of a slice.

# work, our program and command, the peer's name, program and command, count per slice, what one of them is, what a reader
# should know. The commands are those at the top of bench/audio_side.cc and bench/peers/audio_loop.py.
WORKS = [
    ("audio.vad", "vad vad", "silero-onnx", "vad-onnx vad", BLOCKS, "block", "32 ms of one stream; the peer is the package silero-vad"),
    ("audio.vad", "vad vad", "silero-torch", "vad-torch vad", BLOCKS, "block", "the same; the package's own torch form"),
    ("audio.vad.16", "vad vad16", "silero-onnx", "vad-onnx vad", BLOCKS * 3 // STREAMS * STREAMS, "block",
     "32 ms of one of 16 streams that are looked at together; the package has one stream at a time"),
    ("audio.vad.16", "vad vad16", "ours-alone", "ours:vad vad", BLOCKS * 3 // STREAMS * STREAMS, "block", "the same; ours with one stream"),
    ("audio.stt", "stt-tiny stt", "python-loop", "stt-tiny stt", "clips", "clip", "Moonshine tiny: a clip to its text"),
    ("audio.stt.base", "stt-base stt", "python-loop", "stt-base stt", "clips", "clip", "Moonshine base: a clip to its text"),
]


class Work:
    """One line of WORKS with what its pairs gave."""

    def __init__(self, line, clip_count):
        self.name, ours, self.peer_name, peer, count, self.item, self.what = line
        self.sides = (("ours", *ours.split()), ("ours" if peer.startswith("ours:") else "peer", *peer.removeprefix("ours:").split()))
        self.count = clip_count if count == "clips" else count
        self.seconds, self.processor_s, self.found, self.texts = ([], []), ([], []), [0, 0], [{}, {}]

    def take_pair(self, make_side, is_peer_first):
        sides = [(make_side(owner, program), command) for owner, program, command in self.sides]
        for side, command in sides:
            side.run(command, max(1, int(self.count * WARM_UP)))
        for index in (1, 0) if is_peer_first else (0, 1):
            side, command = sides[index]
            answer = side.run(command, self.count)
            self.seconds[index].append(answer["seconds"])
            self.processor_s[index].append(answer["processor_s"])
            self.found[index] += answer["found"]
            self.texts[index].update(answer.get("texts", {}))
        self.engines = {name: side.engine for name, (side, _) in zip(("ours", "peer"), sides, strict=True)}
        for side, _ in sides:
            side.end()

    def different_texts(self):
        """Clips whose texts differ: the same weights must say the same words."""
        return [name for name, text in self.texts[0].items() if text != self.texts[1].get(name)]

    def progress(self):
        ours, peer = (statistics.median(side) / self.count * 1e3 for side in self.seconds)
        return f"{self.name} beside {self.peer_name} {ours:.3f} and {peer:.3f} ms"

    def show(self, output, options, cores):
        about = {"what": self.what, "threads": options.threads, "cores_used": len(cores), "spinning": False, "item": self.item,
                 "items_per_slice": self.count, "engines": self.engines, "found": {"ours": self.found[0], "peer": self.found[1]},
                 **({"texts": len(self.texts[0]), "different_texts": self.different_texts()} if self.texts[0] else {}),
                 **figures.machine()}
        # Processor time is what the wall clock would say on a machine that does nothing else: neighbours do not count.
        for name, unit, times in ((self.name, "ms", self.seconds), (f"{self.name}.processor", "cpu ms", self.processor_s)):
            ours, peer = ([value / self.count * 1e3 for value in side] for side in times)
            output.show(figures.result(name, ours, unit, self.peer_name, peer, about))


def make_clips(folder, sources):
    """Sound files as 32-bit floats at 16 kHz, each whole, and of longer ones their first 3 and next 5 s."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    decode = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i"]
    for source in sources:
        for name, cut in (("whole", ["-t", "30"]), ("first", ["-t", "3"]), ("next", ["-ss", "3", "-t", "5"])):
            target = folder / f"{source.stem}-{name}.f32"
            subprocess.run([*decode, source, *cut, "-ac", "1", "-ar", "16000", "-f", "f32le", target], check=True)
        if (folder / f"{source.stem}-whole.f32").stat().st_size <= 8 * 16_000 * 4:
            for name in ("first", "next"):
                (folder / f"{source.stem}-{name}.f32").unlink()


def packaged_sounds(cache):
    return [cache / "media/speech/beckett.wav", *(path for path in sorted((cache / "media/voices").glob("*.wav")) if path.stem != "Noise")]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench audio", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--pairs", type=int, default=15, help="interleaved pairs per work, each of freshly started programs (15 or more)")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run; as many cores are used")
    parser.add_argument("--clips", type=pathlib.Path, help="folder of sound files to take instead of those that set-up fetches")
    parser.add_argument("--only", help="one work, such as audio.vad")
    parser.add_argument("--bin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pairs < 15:
        parser.error("--pairs must be at least 15: fewer say nothing")
    names = sorted({line[0] for line in WORKS})
    if options.only not in (None, *names):
        parser.error(f"--only {options.only}: there are {', '.join(names)}")

    folder, models = options.cache / "bench", options.cache / "models"
    clips = folder / "clips"
    make_clips(clips, sorted(options.clips.rglob("*.wav")) if options.clips else packaged_sounds(options.cache))
    clip_count = len(list(clips.glob("*.f32")))
    cores = sorted(os.sched_getaffinity(0))[-options.threads :]
    output = figures.Output(options.json)

    def make_side(owner, program):
        if owner == "ours":
            command = [options.bin / "verge-bench-audio", "--work", program, "--clips", clips, "--models", models, "--threads", str(options.threads)]
        else:
            command = [folder / "venv-audio/bin/python", ROOT / "bench/peers/audio_loop.py", program, clips, models, str(options.threads)]
        return Side(command, cores)

    for work in [Work(line, clip_count) for line in WORKS if options.only in (None, line[0])]:
        for pair in range(options.pairs):
            work.take_pair(make_side, pair % 2 == 1)
        output.say(work.progress())
        work.show(output, options, cores)


main()
