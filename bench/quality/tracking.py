"""Judges the tracker on people that were followed by eye, beside plain trackers on the same boxes.

    tracking.py --model FOLDER --film FILE [--program verge-bench-tracking] [--rates 10,5,2] [--from 0 --to 340] [--json]

FOLDER is a detector's model folder. The detector runs once; every tracker gets the same boxes. `ours, plain` is ours
without what it knows of reach and colours, which is ByteTrack as it is described. Peers: `iou`, the plain IoU tracker of
Bochinski et al. 2017 with the thresholds that serve it best on the very pictures that are judged, for each rate anew
(IOU_GRID); `bytetrack` of the package `trackers`, where that is installed, with its defaults and at its best of
BYTE_GRID. Figures: tracking_metrics.py. Counts: entries into zones and crossings of lines as our own zone and line count
them from each tracker's ways, at 10 pictures of tolerance. Rates below 10 use every second or fifth picture. Intervals:
95 % of a bootstrap over blocks of 2 s, paired with ours.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import tracking_metrics as metrics

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
FPS = 10
BLOCK_S = 2
TOLERANCE = 10  # pictures between a counted event and the one that was seen
IOU_GRID = list(itertools.product((0.3, 0.4, 0.5), (0.5, 0.6), (0.1, 0.2, 0.3, 0.5), (1, 2, 3)))
BYTE_GRID = [(least, {"track_activation_threshold": new, "high_conf_det_threshold": 0.5, "minimum_iou_threshold": overlap,
                      "minimum_consecutive_frames": confirm, "lost_track_buffer": 60})
             for least, new, overlap, confirm in itertools.product((0.1, 0.4), (0.5, 0.7), (0.05, 0.2), (1, 2))]


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def text_of(pictures):
    return "".join(json.dumps(picture) + "\n" for picture in pictures)


def run(options, *words, given=None):
    done = subprocess.run([options.program, *words], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{options.program} {' '.join(words)}: {done.stderr.strip()}")
    return lines_of(done.stdout)


def box_overlap(a, b):
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared, 1e-12)


def iou_tracker(pictures, score_low, score_high, overlap_min, length_min):
    """Bochinski et al. 2017: each way takes the box that overlaps its last one most, or ends; short and weak ways are dropped."""
    live, ways = [], []
    for picture in pictures:
        boxes = [row for row in picture["objects"] if row[4] >= score_low]
        going = []
        for way in live:
            best = max(boxes, key=lambda box: box_overlap(way[-1][1], box), default=None)
            if best is not None and box_overlap(way[-1][1], best) >= overlap_min:
                boxes.remove(best)
                way.append((picture["frame"], best))
                going.append(way)
            else:
                ways.append(way)
        live = going + [[(picture["frame"], box)] for box in boxes]
    kept = [way for way in ways + live if max(box[4] for _, box in way) >= score_high and len(way) >= length_min]
    shown = {picture["frame"]: [] for picture in pictures}
    for number, way in enumerate(kept, 1):
        for frame, box in way:
            shown[frame].append([*box[:5], str(number)])
    return [{"frame": frame, "objects": objects} for frame, objects in shown.items()]


def byte_track(pictures, rate, least=0.1, setting=None):
    """Zhang et al. 2022 as the package `trackers` has it; without a setting, with that package's defaults."""
    from supervision import Detections
    from trackers import ByteTrackTracker
    tracker = ByteTrackTracker(frame_rate=rate, **(setting or {}))
    scale = np.array([768, 576] * 2)
    shown = []
    for picture in pictures:
        rows = np.array([row for row in picture["objects"] if row[4] >= least], float).reshape(-1, 5)
        tracked = tracker.update(Detections(xyxy=rows[:, :4] * scale, confidence=rows[:, 4]))
        shown.append({"frame": picture["frame"], "objects": [
            [*(box / scale), float(score), str(way)] for box, score, way in
            zip(tracked.xyxy, tracked.confidence, tracked.tracker_id) if way >= 0]})
    return shown


def judge(labels, pictures):
    clear = metrics.Clear(labels, pictures)
    return clear, metrics.Identity(clear.kept)


def best_of(labels, grid, track):
    def worth(pictures):
        clear, identity = judge(labels, pictures)
        return metrics.mota(clear.rows) + identity.f1()
    tried = ((setting, track(*setting)) for setting in grid)
    return max(((worth(shown), setting, shown) for setting, shown in tried), key=lambda row: row[0])[1:]


def seen_events(area, options):
    events = [(row["frame"], "entered") for row in area["zone_entries"]]
    events += [(row["frame"], row["direction"]) for row in area["line_crossings"]]
    return [event for event in events if options.first <= event[0] <= options.last]


def count_errors(options, areas, pictures):
    """Sum over kinds of |counted - seen|, events missed, events that nobody saw."""
    error, missed, invented = 0, 0, 0
    for area in areas:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(area, file)
            file.flush()
            counted = run(options, "count", "--area", file.name, given=text_of(pictures))
        seen = seen_events(area, options)
        for kind in ("entered", "in", "out"):
            left = sorted(frame for frame, event in seen if event == kind)
            told = sorted(row["frame"] for row in counted if row["event"] == kind)
            error += abs(len(told) - len(left))
            for frame in told:
                near = [other for other in left if abs(other - frame) <= TOLERANCE]
                if near:
                    left.remove(min(near, key=lambda other: abs(other - frame)))
                else:
                    invented += 1
            missed += len(left)
    return error, missed, invented


def interval(ours, theirs, figure, pictures_a_block):
    """95 % of figure(ours) - figure(theirs) over drawn blocks of pictures; both have one row a picture."""
    draw = np.random.default_rng(1)
    blocks = np.array_split(np.arange(len(ours)), max(1, len(ours) // pictures_a_block))
    rows = [np.concatenate([blocks[at] for at in draw.integers(0, len(blocks), len(blocks))]) for _ in range(1000)]
    return np.percentile([figure(ours[drawn]) - figure(theirs[drawn]) for drawn in rows], [2.5, 97.5])


def trackers(options, labels, boxes, rate):
    """(name, setting, ways) of ours and the peers."""
    tuned = ["--" + word for word in options.ours] if options.ours else []
    strong = []
    for picture in boxes:
        kept = [at for at, row in enumerate(picture["objects"]) if row[4] >= options.score_min]
        strong.append({"frame": picture["frame"], **{key: [picture[key][at] for at in kept] for key in ("objects", "colours")}})
    yield "ours", " ".join(options.ours), run(options, "track", *tuned, given=text_of(strong))
    plain = ("--reach=0", "--colours-weight=0")
    yield "ours, plain", " ".join(plain), run(options, "track", *tuned, *plain, given=text_of(strong))
    setting, shown = best_of(labels, IOU_GRID, lambda *words: iou_tracker(boxes, *words))
    yield "iou", setting, shown
    try:
        import trackers as _  # noqa: F401
    except ImportError:
        return
    yield "bytetrack", "its defaults", byte_track(boxes, rate)
    setting, shown = best_of(labels, BYTE_GRID, lambda *words: byte_track(boxes, rate, *words))
    yield "bytetrack, best", setting, shown


def figures_at(options, labels, areas, boxes, rate):
    step = FPS // rate
    boxes = [picture for picture in boxes
             if options.first <= picture["frame"] <= options.last and picture["frame"] % step == 0]
    people = len({name for picture in boxes for name, _, is_asked in labels[picture["frame"]] if is_asked})
    ours = None
    for name, setting, shown in trackers(options, labels, boxes, rate):
        clear, identity = judge(labels, shown)
        error, missed, invented = count_errors(options, areas, shown)
        row = {"rate": rate, "tracker": name, "setting": setting, **clear.figures(), "idf1": identity.f1(),
               "hota": metrics.hota(clear.kept), "ways": identity.ways, "people": people, "count_error": error,
               "events_missed": missed, "events_invented": invented,
               "events": sum(len(seen_events(area, options)) for area in areas)}
        if ours is None:
            ours = clear.rows, identity.rows
        else:
            block = rate * BLOCK_S
            row["ours_mota_better_by"] = interval(ours[0], clear.rows, metrics.mota, block).tolist()
            row["ours_idf1_better_by"] = interval(ours[1], identity.rows, metrics.idf1, block).tolist()
        yield row


def rounded(value):
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model folder of the detector")
    parser.add_argument("--film", required=True)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/verge-bench-tracking"))
    parser.add_argument("--boxes", type=pathlib.Path, help="file that keeps the detector's boxes between runs")
    parser.add_argument("--rates", default="10,5,2")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", dest="last", type=int, default=340)
    parser.add_argument("--score-min", type=float, default=0.4,
                        help="weaker boxes are kept from our tracker: the model card's threshold")
    parser.add_argument("--ours", action="append", default=[], metavar="NAME=VALUE", help="an option of our tracker, lost=3")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    file = json.loads((HERE / "data/plaza.json").read_text())
    labels = metrics.read_labels(file)
    areas = [file, json.loads((ROOT / "examples/first_light/truth/people.json").read_text())]
    if options.boxes and options.boxes.exists():
        boxes = lines_of(options.boxes.read_text())
    else:
        boxes = run(options, "detect", "--model", options.model, "--film", options.film, "--count", str(file["last"] + 1))
        if options.boxes:
            options.boxes.write_text(text_of(boxes))
    if not options.json:
        print("| pictures/s | tracker | MOTA | IDF1 | HOTA | switches | missed | false | fragments | ways (people) | "
              "count error | events missed, invented | ours - MOTA | ours - IDF1 |\n|" + "---|" * 14)
    for rate in (int(word) for word in options.rates.split(",")):
        for row in figures_at(options, labels, areas, boxes, rate):
            if options.json:
                print(json.dumps({key: rounded(value) for key, value in row.items()}), flush=True)
                continue
            by = ["{:+.3f} to {:+.3f}".format(*row[key]) if key in row else "" for key in
                  ("ours_mota_better_by", "ours_idf1_better_by")]
            print(f"| {rate} | {row['tracker']} | {row['mota']:.3f} | {row['idf1']:.3f} | {row['hota']:.3f} | {row['switches']} | "
                  f"{row['missed']} | {row['false']} | {row['fragments']} | {row['ways']} ({row['people']}) | {row['count_error']} | "
                  f"{row['events_missed']}, {row['events_invented']} of {row['events']} | {by[0]} | {by[1]} |", flush=True)


if __name__ == "__main__":
    main()
