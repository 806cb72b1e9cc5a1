"""Template defects: ours beside plain template difference, on DeepPCB (its own lists) and on generated parts.

    template.py --bin DIR [--deeppcb FOLDER/PCBData] [--sets FOLDER] [--json]

A found box counts when it meets a labelled one at intersection over union >= 0.33, each label once. The filter learns on
the set's trainval list; without labels (all of generated parts) the default settings are used. Intervals and paired
differences: 2,000 bootstrap draws over pictures.
"""
import argparse
import json
import pathlib
import subprocess

import cv2
import numpy as np

OVERLAP_MIN = 0.33
DRAWS = 2000


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def count(found, labels):
    """True, false and missed boxes; each found one takes the free label it meets best."""
    free, hits = list(range(len(labels))), 0
    for box in found:
        best = max(free, key=lambda at: overlap(box, labels[at]), default=None)
        if best is not None and overlap(box, labels[best]) >= OVERLAP_MIN:
            free.remove(best)
            hits += 1
    return hits, len(found) - hits, len(labels) - hits


def plain_difference(good, picture, blur=5, least=40, margin=8):
    """Blurred difference, threshold, opened, groups: the usual few lines, with margins that fit the labels."""
    difference = cv2.absdiff(cv2.GaussianBlur(good, (blur, blur), 0), cv2.GaussianBlur(picture, (blur, blur), 0))
    changed = cv2.morphologyEx((difference > 80).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    _, _, groups, _ = cv2.connectedComponentsWithStats(cv2.dilate(changed, np.ones((5, 5))))
    return [(x - margin, y - margin, x + w + margin, y + h + margin) for x, y, w, h, size in groups[1:] if size >= least]


def f1(counts):
    hits, wrong, missed = np.sum(counts, 0)
    return 2 * hits / max(2 * hits + wrong + missed, 1)


def report(name, counts, is_json):
    draw = np.random.default_rng(1)
    pictures = len(counts["plain difference"])
    draws = [draw.integers(0, pictures, pictures) for _ in range(DRAWS)]
    sampled = {method: np.array([f1(np.array(rows)[at]) for at in draws]) for method, rows in counts.items()}
    for method, rows in counts.items():
        hits, wrong, missed = (int(value) for value in np.sum(rows, 0))
        line = {
            "set": name,
            "method": method,
            "pictures": pictures,
            "precision": round(hits / max(hits + wrong, 1), 3),
            "recall": round(hits / max(hits + missed, 1), 3),
            "f1": round(float(f1(rows)), 3),
            "interval": [round(float(value), 3) for value in np.quantile(sampled[method], [0.025, 0.975])],
        }
        if method != "plain difference":
            line["better_by_at_least"] = round(float(np.quantile(sampled[method] - sampled["plain difference"], 0.025)), 3)
        print(json.dumps(line) if is_json else "  ".join(f"{key} {value}" for key, value in line.items()), flush=True)


def judge(name, options, learn, pairs):
    lines = [json.dumps({key: line[key] for key in ("good", "picture", "labels")}) for line in learn]
    lines += [json.dumps({key: line[key] for key in ("good", "picture")}) for line in pairs]
    program = subprocess.run([options.bin / "verge-bench-teach", "pairs"], input="\n".join(lines) + "\n", check=True, stdout=subprocess.PIPE, text=True)
    counts = {"plain difference": []}
    for pair, answer in zip(pairs, map(json.loads, program.stdout.splitlines()), strict=True):
        good, picture = (cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in (pair["good"][0], pair["picture"]))
        counts["plain difference"].append(count(plain_difference(good, picture), pair["labels"]))
        for key, method in (("plain", "ours, no labels"), ("filtered", "ours, filter learned")):
            if key in answer:
                counts.setdefault(method, []).append(count(answer[key], pair["labels"]))
    report(name, counts, options.json)


def deeppcb(folder, name):
    pairs = []
    for line in (folder / name).read_text().split("\n"):
        if line.strip():
            picture, labels = line.split()
            stem = str(folder / picture)[: -len(".jpg")]
            boxes = [[int(word) for word in row.split()[:4]] for row in (folder / labels).read_text().split("\n") if row.strip()]
            pairs.append({"good": [f"{stem}_temp.jpg"], "picture": f"{stem}_test.jpg", "labels": boxes})
    return pairs


def generated(folder, goods):
    pairs = []
    good = [str(path) for path in sorted((folder / "good").glob("*"))[:goods]]
    for path in sorted((folder / "test").glob("*/*")):
        mask_file = folder / "masks" / path.parent.name / path.name
        if path.parent.name != "good" and not mask_file.exists():
            continue  # Only whole pictures are judged where the place is not known.
        labels = []
        if mask_file.exists():
            mask = cv2.dilate((cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE) > 0).astype(np.uint8), np.ones((9, 9)))
            labels = [[x - 4, y - 4, x + w + 4, y + h + 4] for x, y, w, h, _ in cv2.connectedComponentsWithStats(mask)[2][1:].tolist()]
        pairs.append({"good": good, "picture": str(path), "labels": labels})
    return pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="where verge-bench-teach is")
    parser.add_argument("--deeppcb", type=pathlib.Path, help="folder with test.txt and trainval.txt")
    parser.add_argument("--sets", type=pathlib.Path, help="folder of defect_sets.py; its parts with a fixed camera are used")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    options = parser.parse_args()
    if options.deeppcb:
        judge("deeppcb", options, deeppcb(options.deeppcb, "trainval.txt"), deeppcb(options.deeppcb, "test.txt"))
    for surface in ("board", "label"):
        if options.sets and (options.sets / surface).exists():
            judge(f"{surface}, 1 good", options, [], generated(options.sets / surface, 1))
            judge(f"{surface}, 10 good", options, [], generated(options.sets / surface, 10))


main()
