"""Small persons: the whole picture, tiles, and windows around what moves, by boxes found and processor time.

    small_objects.py --bin DIR --model DIR --film vtest.avi [--count 60] [--json]

Truth is what the detector finds in the film as it is (persons with a score of at least 0.4): the question is not how
good it is, but how much of that it still finds when the same persons are small. The film is shrunk to a half and put
into a picture of 1536 x 1152: once ("corner"; the rest is the empty scene, standing still) and sixteen times, each
begun a second later ("everywhere"). Every fifth picture is analysed. A box is found when one of at least the same score
overlaps it by half (intersection over union); a found box without one of the truth is false.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

SCORE_MIN, OVERLAP_MIN = 0.4, 0.5
GRID, PLACE, CANVAS, SMALL = 4, (501, 437), (1536, 1152), (384, 288)
WAYS = {
    "whole picture": [],
    "tiles 2x2": ["--tiles", "2x2"],
    "tiles 3x3": ["--tiles", "3x3"],
    "tiles auto": ["--tiles", "auto"],
    "focus, 3 runs": ["--focus", "--runs-max", "3"],
    "focus, 8 runs": ["--focus", "--runs-max", "8"],
}


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True, stdin=subprocess.DEVNULL)


def make_corner(film, folder, pictures):
    back, made = folder / "back.png", folder / "corner.mkv"
    size = f"scale={SMALL[0]}:{SMALL[1]}"
    empty = f"fps=1,{size},tmedian=radius=30,loop=loop={GRID * GRID - 1}:size=1,tile={GRID}x{GRID}"
    ffmpeg("-i", film, "-vf", empty, "-frames:v", 1, back)
    lay = f"[1]{size}[s];[0][s]overlay=x={PLACE[0]}:y={PLACE[1]}:shortest=1,format=yuv420p"
    ffmpeg("-loop", 1, "-framerate", 10, "-i", back, "-i", film, "-filter_complex", lay, "-frames:v", pictures, "-c:v", "ffv1", made)
    return made, [(PLACE, 0)]


def make_everywhere(film, folder, pictures):
    made = folder / "everywhere.mkv"
    count = GRID * GRID
    inputs = [word for i in range(count) for word in ("-i", film)]
    cut = ";".join(f"[{i}]trim=start_frame={10 * i},setpts=PTS-STARTPTS,scale={SMALL[0]}:{SMALL[1]}[v{i}]" for i in range(count))
    stack = "".join(f"[v{i}]" for i in range(count)) + f"xstack=inputs={count}:grid={GRID}x{GRID},format=yuv420p"
    ffmpeg(*inputs, "-filter_complex", f"{cut};{stack}", "-frames:v", pictures, "-c:v", "ffv1", made)
    return made, [((i % GRID * SMALL[0], i // GRID * SMALL[1]), 10 * i) for i in range(count)]


def look(options, film, way, every, count):
    command = [options.bin / "verge-bench-small-objects", "--model", options.model, "--film", film, "--every", every, "--count", count, *way]
    lines = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def in_canvas(box, place):
    x, y = (place[0] / CANVAS[0], place[1] / CANVAS[1])
    across, down = SMALL[0] / CANVAS[0], SMALL[1] / CANVAS[1]
    return [x + box[0] * across, y + box[1] * down, x + box[2] * across, y + box[3] * down]


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both) if both else 0


def judge(answers, truth, places):
    """Found and all true boxes, false ones, runs and processor time."""
    found = total = false = 0
    for answer in answers:
        true = [in_canvas(box, place) for place, later in places for box in truth[answer["picture"] + later] if box[4] >= SCORE_MIN]
        total += len(true)
        for box in answer["boxes"]:  # The strongest first; each true box once.
            best = max(true, key=lambda other: overlap(box, other), default=None)
            if best is not None and overlap(box, best) >= OVERLAP_MIN:
                true.remove(best)
                found += 1
            elif box[4] >= SCORE_MIN:
                false += 1
    pictures = len(answers)
    return {
        "true": total,
        "recall": round(found / total, 3),
        "false_per_picture": round(false / pictures, 2),
        "runs": round(sum(a["runs"] for a in answers) / pictures, 1),
        "processor_ms": round(sum(a["processor_ms"] for a in answers) / pictures, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="where verge-bench-small-objects is")
    parser.add_argument("--model", required=True, type=pathlib.Path, help="model folder of nanodet-coco")
    parser.add_argument("--film", required=True, type=pathlib.Path, help="the packaged film, 768 x 576")
    parser.add_argument("--count", type=int, default=60, help="pictures to analyse")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    options = parser.parse_args()
    pictures = 5 * options.count
    truth = {line["picture"]: line["boxes"] for line in look(options, options.film, [], 5, options.count + 2 * GRID * GRID)}
    if not options.json:
        print("| film | way | true boxes | recall | false a picture | runs a picture | processor ms a picture |")
        print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for film, make in (("corner", make_corner), ("everywhere", make_everywhere)):
            made, places = make(options.film, pathlib.Path(name), pictures)
            for way, words in WAYS.items():
                line = {"film": film, "way": way} | judge(look(options, made, words, 5, options.count), truth, places)
                print(json.dumps(line) if options.json else "| " + " | ".join(str(value) for value in line.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
