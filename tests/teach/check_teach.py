"""Teaches from generated pictures by the words of docs/teach.md, and asks what was taught about others.

    check_teach.py FOLDER_WITH_PROGRAMS
"""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import Verdicts  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 128, 96


def png(rows):
    """Rows of RGB bytes as a PNG file."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gate(is_open, seed):
    """A barrier that stands up or lies across, before sky and ground of any colour."""
    draw = random.Random(f"{is_open} {seed}")
    sky, ground = ([draw.randrange(60, 220) for _ in range(3)] for _ in range(2))
    horizon, foot = draw.randrange(35, 55), (draw.randrange(15, 35), draw.randrange(65, 80))
    light = draw.uniform(0.8, 1.2)
    rows = []
    for y in range(HEIGHT):
        row = bytearray()
        for x in range(WIDTH):
            colour = sky if y < horizon else ground
            along, across = (foot[1] - y, x - foot[0]) if is_open else (x - foot[0], foot[1] - y)
            lean = along * draw_lean(is_open, seed)
            if 0 <= along < 60 and abs(across - lean) < 4:
                colour = (210, 40, 40) if along // 10 % 2 else (235, 235, 235)
            noise = (x * 31 + y * 17 + seed * 7 + x * y) % 13 - 6
            row += bytes(min(255, max(0, int(part * light) + noise)) for part in colour)
        rows.append(row)
    return png(rows)


def draw_lean(is_open, seed):
    return random.Random(f"lean {is_open} {seed}").uniform(-0.25, 0.25)


def part(seed, is_scratched=False):
    """A brushed plate with a hole, which lies still; light and brushing differ."""
    draw = random.Random(f"part {seed}")
    light, brush = draw.uniform(0.95, 1.05), [draw.randrange(-12, 13) for _ in range(HEIGHT)]
    rows = []
    for y in range(HEIGHT):
        row = bytearray()
        for x in range(WIDTH):
            grey = 40 if (x - 64) ** 2 + (y - 48) ** 2 < 400 else 150 + brush[y]
            if is_scratched and 20 <= x < 50 and abs(y - x // 2 - 50) < 2:
                grey = 235
            row += bytes([min(255, max(0, int(grey * light) + draw.randrange(-6, 7)))] * 3)
        rows.append(row)
    return png(rows)


def board(seed, gap=None, spot=None):
    """A drawn board that lies a little elsewhere each time; a gap in a track (at x) is a defect, a spot (at x) is none."""
    draw = random.Random(f"board {seed}")
    across, down, light = draw.randrange(-4, 5), draw.randrange(-3, 4), draw.uniform(0.85, 1.1)
    rows = []
    for y in range(HEIGHT):
        row = bytearray()
        for x in range(WIDTH):
            u, v = x - across, y - down
            is_track = abs(v - 24) < 4 or abs(v - 62) < 5 and 12 < u < 116 or abs(u - 30) < 4 and v > 24
            is_pad = (u - 84) ** 2 + (v - 42) ** 2 < 70
            tone = 200 if is_track or is_pad else 50
            if gap is not None and abs(u - gap) < 5 and abs(v - 62) < 7:
                tone = 50
            if spot is not None and (u - spot) ** 2 + (v - 82) ** 2 < 16:
                tone = 190
            row += bytes([min(255, max(0, int(tone * light) + draw.randrange(-5, 6)))] * 3)
        rows.append(row)
    return png(rows), (across, down)


def no_board(seed):
    draw = random.Random(f"none {seed}")
    return png([bytes(part for _ in range(WIDTH) for part in [90 + draw.randrange(-5, 6)] * 3) for _ in range(HEIGHT)])


def blocks(section, kind):
    """The fenced blocks of this kind in a section of docs/teach.md."""
    text = (ROOT / "docs" / "teach.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", text, re.S)


def voids(shares):
    """When a place became empty and stayed so for 8 s."""
    begun, found = None, []
    for at, share in shares:
        begun = None if share > 0 else begun or at
        if begun and at - begun >= 8e6 and begun not in found:
            found.append(begun)
    return found


class Teaching:
    def __init__(self, programs, folder):
        self.programs, self.folder, self.verdicts = programs, folder, Verdicts()
        self.environment = {**os.environ, "VERGE_HOME": str(folder / "home"), "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, *words, shell=None):
        return subprocess.run(shell or words, shell=shell is not None, cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=1200)

    def digest(self, model):
        return [hashlib.sha256((self.folder / model / name).read_bytes()).hexdigest()
                for name in ("model.onnx", "card.json", "report.html")]

    def teach(self):
        for label in ("open", "shut"):
            (self.folder / "gate" / label).mkdir(parents=True)
            for seed in range(7):
                (self.folder / "gate" / label / f"{seed}.png").write_bytes(gate(label == "open", seed))
        done = self.run(shell=blocks("Is the gate open?", "sh")[0])
        if not self.verdicts.check("the guide's command teaches", done.returncode == 0, (done.stdout + done.stderr)[-600:]):
            return
        said = self.run("verge", "train", "vision", "gate/", "--out", "again/gate", "-o", "json")
        self.verdicts.check("JSON alone on stdout", json.loads(said.stdout)["is_learned"])
        self.verdicts.check("equal pictures give equal files", self.digest("models/gate") == self.digest("again/gate"))
        self.ask()
        self.shrink()

    def ask(self):
        """The guide's pipeline, on pictures that were not taught: ten seconds shut, ten open."""
        (self.folder / "yard").mkdir()
        for part in range(4):
            picture = gate(part >= 2, 100 + part)
            for at in range(25):
                (self.folder / "yard" / f"{part}-{at:02}.png").write_bytes(picture)
        (self.folder / "pipeline.yaml").write_text(blocks("Is the gate open?", "yaml")[0])
        done = self.run("verge-infer", "pipeline.yaml", "--metrics", "off")
        self.verdicts.check("the guide's pipeline runs", done.returncode == 0, done.stderr[-300:])
        events = [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]
        begun = [event for event in events if event.get("severity") == "warning"]
        self.verdicts.check("it tells that the gate stands open, once", len(begun) == 1, json.dumps(events)[:400])

    def inspect(self):
        """What is normal, by the guide's command and pipeline: four good parts, two scratched ones, eight good ones."""
        (self.folder / "parts").mkdir()
        for seed in range(16):
            (self.folder / "parts" / f"{seed:02}.png").write_bytes(part(seed))
        done = self.run(shell=blocks("Is the part as it should be?", "sh")[0])
        if not self.verdicts.check("good parts alone teach what is normal", done.returncode == 0, (done.stdout + done.stderr)[-600:]):
            return
        (self.folder / "belt").mkdir()
        for at in range(14):
            (self.folder / "belt" / f"{at:02}.png").write_bytes(part(100 + at, is_scratched=at in (4, 5)))
        (self.folder / "parts.yaml").write_text(blocks("Is the part as it should be?", "yaml")[0])
        done = self.run("verge-infer", "parts.yaml", "--metrics", "off")
        events = [json.loads(line) for line in (self.folder / "defects.jsonl").read_text().splitlines()]
        told = [(event["type"], event.get("rule")) for event in events]
        self.verdicts.check("scratches are told, their end, too, and nothing else", len(told) == 2, f"{told} {done.stderr[-300:]}")

    def align(self):
        """Boards that lie elsewhere, each laid over a good one first; a picture without a board is said to be none."""
        for folder in ("loose", "loose_belt"):
            (self.folder / folder).mkdir()
        for seed in range(12):
            (self.folder / f"loose/{seed:02}.png").write_bytes(board(300 + seed)[0])
        done = self.run("verge", "train", "vision", "loose", "--out", "models/loose", "--align", "on", "-o", "json")
        if not self.verdicts.check("parts that move are laid over a good one", done.returncode == 0, (done.stdout + done.stderr)[-600:]):
            return
        card = json.loads((self.folder / "models/loose/card.json").read_text())
        self.verdicts.check("the card and the report say so", "correlation_min" in card["head"] and "as asked" in card["source"]["align"]
                            and card["source"]["align"] in (self.folder / "models/loose/report.html").read_text(), json.dumps(card["source"]))
        for at in range(10):
            picture = no_board(at) if at == 8 else board(400 + at, gap=70 if at in (4, 5) else None)[0]
            (self.folder / f"loose_belt/{at:02}.png").write_bytes(picture)
        pipeline = blocks("Is the part as it should be?", "yaml")[0]
        for ours, its in (("url: belt", "url: loose_belt"), ("models/parts", "models/loose"), ("tells_end: true", "cool_down_s: 0, gap_s: 0")):
            pipeline = pipeline.replace(ours, its)
        pipeline = pipeline.replace("sinks:", '  - rule: {name: no part, per: scene, when: "picture.unaligned > 0", severity: warning}\nsinks:')
        (self.folder / "loose.yaml").write_text(pipeline.replace("defects.jsonl", "loose.jsonl"))
        done = self.run("verge-infer", "loose.yaml", "--metrics", "off")
        events = [json.loads(line) for line in (self.folder / "loose.jsonl").read_text().splitlines()]
        told = [event["rule"] for event in events if event["type"] == "rule.fired"]
        self.verdicts.check("gaps and a missing board are told, and which it was", sorted(told) == ["defect", "defect", "no part"],
                            f"{told} {done.stderr[-300:]}")
        marked = [event["extension"].get("strangest") for event in events if event["type"] == "rule.fired" and event["rule"] == "defect"]
        self.verdicts.check("an event says where the picture is strangest",
                            bool(marked) and marked[0] is not None and marked[0][0] < 75 / WIDTH < marked[0][2], json.dumps(marked))

    def compare(self):
        """With a good part, by the guide's command and pipeline: boxes say that gaps are defects, and spots are none."""
        (self.folder / "board/good").mkdir(parents=True)
        (self.folder / "board/defects").mkdir()
        for seed in range(4):
            (self.folder / f"board/good/{seed}.png").write_bytes(board(seed)[0])
        lines = []
        for seed in range(15):
            picture, (across, down) = board(100 + seed, gap=40 + 5 * seed, spot=24 + 6 * seed)
            (self.folder / f"board/defects/{seed:02}.png").write_bytes(picture)
            left, top = 40 + 5 * seed + across - 9, down + 53
            lines.append(json.dumps({"media": f"defects/{seed:02}.png", "boxes": [[left, top, left + 18, top + 18]]}))
        (self.folder / "board/labels.jsonl").write_text("\n".join(lines) + "\n")
        words = blocks("Is the board as the good one?", "sh")[0].strip()
        done = self.run(shell=words + " -o json")
        if not self.verdicts.check("good boards and boxes teach a template", done.returncode == 0, (done.stdout + done.stderr)[-600:]):
            return
        said = json.loads(done.stdout)
        self.verdicts.check("it learned that spots are no defects", said["has_filter"] and said["metrics"]["f1"]["value"] > 0.8,
                            json.dumps(said["metrics"]))
        (self.folder / "line").mkdir()
        for at in range(12):
            picture = no_board(at) if at in (8, 9) else board(200 + at, gap=70 if at in (4, 5) else None, spot=90 if at == 2 else None)[0]
            (self.folder / "line" / f"{at:02}.png").write_bytes(picture)
        (self.folder / "boards.yaml").write_text(blocks("Is the board as the good one?", "yaml")[0])
        done = self.run("verge-infer", "boards.yaml", "--metrics", "off")
        events = [json.loads(line) for line in (self.folder / "boards.jsonl").read_text().splitlines()]
        told = sorted((event.get("rule"), event["type"]) for event in events)
        self.verdicts.check("gaps are told, their end and a missing board, too, and nothing else",
                            [rule for rule, _ in told] == ["defect", "defect", "no board"], f"{told} {done.stderr[-300:]}")

    def collect(self):
        """The guide's pictures of a painted shelf, sorted by label; then what is said of its places against the truth."""
        record, watch = blocks("Collect pictures", "yaml")
        (self.folder / "collect.yaml").write_text(record)
        done = self.run(shell=blocks("Collect pictures", "sh")[0])
        kept = {label: len(list((self.folder / "places" / label).glob("*.jpg"))) for label in ("full", "empty")}
        self.verdicts.check("a pipeline collects pictures by label", kept == {"full": 16, "empty": 16}, f"{kept} {done.stderr[-300:]}")
        if not self.verdicts.check("they teach what a full place looks like", done.returncode == 0, (done.stdout + done.stderr)[-600:]):
            return
        (self.folder / "watch.yaml").write_text(watch)
        done = self.run("verge-infer", "watch.yaml", "--metrics", "off")
        shown = [json.loads(line) for line in (self.folder / "truth.jsonl").read_text().splitlines()]
        events = [json.loads(line) for line in (self.folder / "places.jsonl").read_text().splitlines()]
        for rule, place in (("left is empty", "shelf_1"), ("right is empty", "shelf_2")):
            told = [event["captured_us"] for event in events if (event["rule"], event["type"]) == (rule, "rule.fired")]
            shares = [(picture["captured_us"], picture["shares"][place]) for picture in shown]
            missed = [begin for begin in voids(shares) if not any(begin - 60e6 < at < begin + 3e6 for at in told)]
            false = [at for at in told if dict(shares)[at] > 0.3]
            self.verdicts.check(f"{place} is told when it is empty, and only then", not missed and not false,
                                f"missed {missed}, false {false} of {told}; {done.stderr[-300:]}")
        fired = {event["rule"] for event in events if event["type"] == "rule.fired"}
        self.verdicts.check("both were empty at some time", len(fired) == 2, json.dumps(events)[:300])

    def shrink(self):
        """The guide's command; seven pictures are too few, so there are more."""
        words = blocks("What it can and cannot do", "sh")[0]
        done = self.run(shell=words)
        self.verdicts.check("7 pictures are too few for 8 bits", done.returncode == 2 and "at least 8" in done.stderr, done.stderr)
        for seed in range(10, 15):
            (self.folder / "gate" / "open" / f"{seed}.png").write_bytes(gate(True, seed))
        done = self.run(shell=words.strip() + " -o json")
        agreement = json.loads(done.stdout) if done.returncode == 0 else {}
        self.verdicts.check("in 8 bits it says the same, in a third of the bytes",
                            agreement.get("found_again", 0) >= 0.8 and agreement["small_bytes"] * 3 < agreement["float_bytes"],
                            done.stderr[-200:] + done.stdout[-300:])

    def refuse(self):
        for seed in range(12):
            label = "left" if hashlib.sha256(bytes([seed])).digest()[0] % 2 else "right"
            (self.folder / "noise" / label).mkdir(parents=True, exist_ok=True)
            (self.folder / "noise" / label / f"{seed}.png").write_bytes(gate(True, 200 + seed))
        done = self.run("verge", "train", "vision", "noise", "--out", "none", "--minutes", "20")
        self.verdicts.check("labels without meaning are refused", done.returncode == 2 and "I cannot learn this" in done.stderr,
                            done.stderr[-300:])
        self.verdicts.check("with a report and without a model",
                            (self.folder / "none/report.html").exists() and not (self.folder / "none/model.onnx").exists())
        (self.folder / "empty").mkdir()
        for name, code, part, words in (
                ("an empty folder", 2, "no folders with .jpg or .png pictures", ("empty", "--out", "o")),
                ("a folder that is not there", 3, "nowhere", ("nowhere", "--out", "o")),
                ("an unknown task", 2, "give one of: classify", ("noise", "--out", "o", "--task", "sort")),
                ("an unknown region", 2, "whole, top, head", ("noise", "--out", "o", "--region", "foot")),
                ("an unknown way to align", 2, "auto, on, off", ("noise", "--out", "o", "--align", "maybe")),
                ("laying over pictures with labels", 2, "for the task anomaly", ("noise", "--out", "o", "--align", "on")),
                ("an unknown backbone", 3, "verge model list", ("noise", "--out", "o", "--backbone", "resnet")),
                ("costs without a label", 2, "--positive with one of: left, right", ("noise", "--out", "o", "--cost-miss", "3"))):
            done = self.run("verge", "train", "vision", *words)
            self.verdicts.check(f"{name} is refused", done.returncode == code and part in done.stderr,
                                f"{done.returncode}: {done.stderr[-300:]}")
        without = dict(self.environment, VERGE_ONNXRUNTIME="/nowhere.so")
        done = subprocess.run(["verge", "train", "vision", "noise", "--out", "o"], cwd=self.folder, env=without,
                              capture_output=True, text=True, timeout=600)
        self.verdicts.check("no ONNX Runtime is told with the next step", "tools/fetch.sh" in done.stderr, done.stderr[-300:])


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="verge-teach-"))
    try:
        teaching = Teaching(pathlib.Path(sys.argv[1]), folder)
        teaching.teach()
        teaching.inspect()
        teaching.align()
        teaching.compare()
        teaching.collect()
        teaching.refuse()
        sys.exit(teaching.verdicts.finish())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
