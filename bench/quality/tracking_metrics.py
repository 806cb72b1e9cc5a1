"""How well ways fit labelled people: CLEAR MOT, IDF1, HOTA.

Sources: Bernardin and Stiefelhagen 2008 (MOTA, MOTP), Ristani et al. 2016 (IDF1), Luiten et al. 2021 (HOTA). A picture is
{"frame": 12, "objects": [[left, top, right, bottom, score, id], ...]}; boxes of people and of ways in the same unit.
Labels are {frame: [(id, box, is_asked), ...]}. Who is not asked (hidden, cut by the edge) is no miss, and a box on him is no false one:
he takes part in the pairing and what is paired with him is left out, as MOTChallenge does.
"""
import numpy as np
from scipy.optimize import linear_sum_assignment

IOU_MIN = 0.5
ALPHAS = np.arange(0.05, 0.99, 0.05)


def read_labels(labels):
    """{frame: [(id, box in parts of the picture, is_asked)]} of a file of data/."""
    scale = np.array([labels["width"], labels["height"]] * 2, float)
    pictures = {frame: [] for frame in range(labels["first"], labels["last"] + 1)}
    for person in labels["persons"]:
        rows = np.array(person["boxes"], float)
        for frame in range(int(rows[0, 0]), int(rows[-1, 0]) + 1):
            box = np.array([np.interp(frame, rows[:, 0], rows[:, side]) for side in range(1, 5)]) / scale
            ranges = person["hidden"] + person["cut"]
            pictures[frame].append((person["id"], box, not any(low <= frame <= high for low, high in ranges)))
    return pictures


def overlaps(ours, theirs):
    """Intersection over union, [ours, theirs]."""
    a, b = np.asarray(ours, float).reshape(-1, 1, 4), np.asarray(theirs, float).reshape(1, -1, 4)
    shared = np.prod(np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (a, b)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)


def pair(shared, least):
    rows, columns = linear_sum_assignment(-np.where(shared >= least, 1000 + shared, 0))
    return [(row, column) for row, column in zip(rows, columns) if shared[row, column] >= least]


class Clear:
    """Sums per picture, so that blocks of pictures can be drawn: asked, missed, false, switched, fragments, overlap, hits."""

    def __init__(self, labels, pictures):
        self.holder, self.rows, self.kept = {}, [], []
        self.is_lost = {}
        last = {}
        for picture in pictures:
            last = self._add(labels[picture["frame"]], picture, last)
        self.rows = np.array(self.rows, float).reshape(-1, 7)

    def _add(self, people, picture, last):
        boxes, ids = [row[:4] for row in picture["objects"]], [row[5] for row in picture["objects"]]
        shared = overlaps([box for _, box, _ in people], boxes)
        pairs = [(row, ids.index(last[name])) for row, (name, _, _) in enumerate(people)
                 if last.get(name) in ids and shared[row, ids.index(last[name])] >= IOU_MIN]
        free = [np.setdiff1d(np.arange(size), taken) for size, taken in
                ((len(people), [row for row, _ in pairs]), (len(ids), [column for _, column in pairs]))]
        pairs += [(free[0][row], free[1][column]) for row, column in pair(shared[np.ix_(*free)], IOU_MIN)]
        hits, switched, fragments, overlap = 0, 0, 0, 0.0
        ignored = {column for row, column in pairs if not people[row][2]}
        for row, column in pairs:
            name, _, is_asked = people[row]
            if not is_asked:
                continue
            hits, overlap = hits + 1, overlap + shared[row, column]
            switched += name in self.holder and self.holder[name] != ids[column]
            fragments += self.is_lost.pop(name, False)
            self.holder[name] = ids[column]
        seen = {people[row][0] for row, _ in pairs}
        for name, _, is_asked in people:
            if is_asked and name not in seen and name in self.holder:
                self.is_lost[name] = True
        asked = [(name, box) for name, box, is_asked in people if is_asked]
        kept = [(ids[column], boxes[column]) for column in range(len(ids)) if column not in ignored]
        self.kept.append((asked, kept))
        self.rows.append([len(asked), len(asked) - hits, len(kept) - hits, switched, fragments, overlap, hits])
        return {people[row][0]: ids[column] for row, column in pairs}

    def figures(self):
        asked, missed, false, switched, fragments, overlap, hits = self.rows.sum(0)
        return {"mota": mota(self.rows), "motp": overlap / max(hits, 1), "missed": int(missed), "false": int(false),
                "switches": int(switched), "fragments": int(fragments)}


def mota(rows):
    asked, missed, false, switched = rows.sum(0)[:4]
    return 1 - (missed + false + switched) / max(asked, 1)


class Identity:
    """IDF1, per picture: asked, found and right boxes under the best pairing of people with ways over all pictures."""

    def __init__(self, kept):
        names = sorted({name for asked, _ in kept for name, _ in asked})
        ways = sorted({way for _, found in kept for way, _ in found})
        together = np.zeros((len(kept), len(names), len(ways)), bool)
        for at, (asked, found) in enumerate(kept):
            shared = overlaps([box for _, box in asked], [box for _, box in found])
            for row, column in zip(*np.nonzero(shared >= IOU_MIN)):
                together[at, names.index(asked[row][0]), ways.index(found[column][0])] = True
        rows, columns = linear_sum_assignment(-together.sum(0)) if names and ways else ([], [])
        right = together[:, rows, columns].sum(1)
        self.rows = np.array([[len(asked), len(found), hit] for (asked, found), hit in zip(kept, right)], float)
        self.ways = len(ways)

    def f1(self):
        return idf1(self.rows)


def idf1(rows):
    asked, found, right = rows.sum(0)
    return 2 * right / max(asked + found, 1)


def hota(kept):
    names = sorted({name for asked, _ in kept for name, _ in asked})
    ways = sorted({way for _, found in kept for way, _ in found})
    if not names or not ways:
        return 0.0
    rows = [[names.index(name) for name, _ in asked] for asked, _ in kept]
    columns = [[ways.index(way) for way, _ in found] for _, found in kept]
    shared = [overlaps([box for _, box in asked], [box for _, box in found]) for asked, found in kept]
    asked_count, found_count, aligned = np.zeros((len(names), 1)), np.zeros((1, len(ways))), np.zeros((len(names), len(ways)))
    for row, column, likeness in zip(rows, columns, shared):
        total = likeness.sum(0)[None] + likeness.sum(1)[:, None] - likeness
        aligned[np.ix_(row, column)] += np.divide(likeness, total, out=np.zeros_like(likeness), where=total > 1e-9)
        asked_count[row] += 1
        found_count[:, column] += 1
    alignment = aligned / np.maximum(asked_count + found_count - aligned, 1e-9)
    scores = []
    for alpha in ALPHAS:
        hits, together = 0, np.zeros_like(aligned)
        for row, column, likeness in zip(rows, columns, shared):
            score = np.where(likeness >= alpha - 1e-9, 1 + alignment[np.ix_(row, column)] * likeness * 1000, 0)
            for at, to in zip(*linear_sum_assignment(-score)):
                if likeness[at, to] >= alpha - 1e-9:
                    hits += 1
                    together[row[at], column[to]] += 1
        missed_and_false = asked_count.sum() + found_count.sum() - 2 * hits
        association = (together * together / np.maximum(asked_count + found_count - together, 1e-9)).sum() / max(hits, 1)
        scores.append(np.sqrt(hits / max(hits + missed_and_false, 1) * association))
    return float(np.mean(scores))
