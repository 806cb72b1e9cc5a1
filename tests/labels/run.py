#!/usr/bin/env python3
"""The labels of bench/quality/data stay sound: one box a person and picture, inside it, no jumps, events that follow.

    run.py        last line: N passed, M failed
"""
import collections
import copy
import json
import pathlib
import sys

FILE = pathlib.Path(__file__).parents[2] / "bench/quality/data/plaza.json"
SET_APART_MAX = 5  # pictures
HIGH, WIDE_MAX = (28, 130), 0.7  # pixels; parts of the height
STEP_ACROSS_MAX, STEP_DOWN_MAX = 0.2, 0.1  # heights from one picture to the next


def boxes_of(person):
    """{picture: box}, also between the boxes that were set."""
    found = {}
    rows = person["boxes"]
    for (first, *a), (last, *b) in zip(rows, rows[1:] + rows[-1:]):
        for picture in range(first, max(last, first + 1)):
            part = (picture - first) / max(1, last - first)
            found[picture] = [low + part * (high - low) for low, high in zip(a, b)]
    return found


def is_asked(person, picture):
    return not any(low <= picture <= high for low, high in person["hidden"] + person["cut"])


def problems_of_rows(labels, person):
    pictures = [row[0] for row in person["boxes"]]
    if any(not 0 < after - before <= SET_APART_MAX for before, after in zip(pictures, pictures[1:])):
        yield "boxes out of order or too far apart"
    if pictures[0] < labels["first"] or pictures[-1] > labels["last"]:
        yield "pictures outside of the labelled ones"
    if any(not pictures[0] <= low <= high <= pictures[-1] for low, high in person["hidden"] + person["cut"]):
        yield "hidden or cut while not there"


def problems_of_boxes(labels, person):
    boxes = boxes_of(person)
    for picture, (left, top, right, bottom) in boxes.items():
        high = bottom - top
        if not (0 <= left < right <= labels["width"] and 0 <= top < bottom <= labels["height"]):
            yield f"picture {picture}: outside"
        elif not (HIGH[0] <= high <= HIGH[1] and right - left <= WIDE_MAX * high):
            yield f"picture {picture}: no person is {right - left:.0f} x {high:.0f}"
        elif picture - 1 in boxes and is_asked(person, picture) and is_asked(person, picture - 1):
            before = boxes[picture - 1]
            if (abs(left + right - before[0] - before[2]) / 2 > STEP_ACROSS_MAX * high or
                    abs(bottom - before[3]) > STEP_DOWN_MAX * high):
                yield f"picture {picture}: jumps"


def is_inside(polygon, x, y):
    crossed = [(y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
               for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1])]
    return sum(crossed) % 2 == 1


def events_of(labels):
    (ax, ay), (bx, by) = labels["line"]["from"], labels["line"]["to"]
    for person in labels["persons"]:
        last = None
        for left, _, right, bottom in boxes_of(person).values():
            x, y = (left + right) / 2 / labels["width"], bottom / labels["height"]
            now = is_inside(labels["zone"]["polygon"], x, y), (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
            if last is not None:
                if now[0] and not last[0]:
                    yield person["id"], "entered"
                if now[1] != last[1] and ay < y < by:
                    yield person["id"], "in" if now[1] else "out"
            last = now


def problems(labels):
    ids = collections.Counter(person["id"] for person in labels["persons"])
    found = [f"{name}: twice" for name, count in ids.items() if count > 1]
    if labels["last"] - labels["first"] + 1 < 300:
        found.append("fewer than 300 pictures")
    for person in labels["persons"]:
        for problem in [*problems_of_rows(labels, person), *problems_of_boxes(labels, person)]:
            found.append(f"{person['id']}: {problem}")
    told = [(row["person"], "entered") for row in labels["zone_entries"]]
    told += [(row["person"], row["direction"]) for row in labels["line_crossings"]]
    if sorted(told) != sorted(events_of(labels)):
        found.append("the events do not follow from the boxes")
    return found


def broken(labels, change):
    copied = copy.deepcopy(labels)
    change(copied["persons"][0], copied)
    return copied


def main():
    labels = json.loads(FILE.read_text())
    first = labels["persons"][0]["boxes"]
    cases = [("as committed", labels, "")]
    for name, change, told in (
            ("twice the same id", lambda person, all_: all_["persons"][1].update(id=person["id"]), "twice"),
            ("a box outside", lambda person, _: person["boxes"][3].__setitem__(1, -4), "outside"),
            ("a flat person", lambda person, _: person["boxes"][3].__setitem__(2, first[3][4] - 10), "no person is"),
            ("a jump", lambda person, _: person["boxes"][3].__setitem__(slice(1, 4, 2), [9, 49]), "jumps"),
            ("a gap", lambda person, _: person["boxes"].__delitem__(slice(4, 12)), "too far apart"),
            ("hidden before it came", lambda person, _: person["hidden"].append([-3, 2]), "hidden or cut"),
            ("an event that nobody sees", lambda _, all_: all_["zone_entries"].pop(), "events")):
        cases.append((name, broken(labels, change), told))
    failed = 0
    for name, given, told in cases:
        found = problems(given)
        is_right = any(told in problem for problem in found) if told else not found
        failed += not is_right
        print(f"{'ok    ' if is_right else 'FAILED'} {name}" + ("" if is_right else f": {found[:5]}"))
    print(f"{len(cases) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
