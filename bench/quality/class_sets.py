"""Makes pictures of classes to tell apart from a few examples, for judging what `verge train vision` teaches.

    class_sets.py FOLDER [--sets surfaces,parts,gate] [--each 60] [--seed 1]

FOLDER/<set>/<label>/NNN.jpg. Within a label pictures differ in position, size, turn, light, noise and sharpness; nothing
but the label's own feature separates the labels. `surfaces`: five textures; `parts`: one machined part as it should
be, without its screw, with a stain or a chipped edge; `gate`: a barrier open or shut before changing backgrounds.
"""
import argparse
import pathlib

import cv2
import numpy as np

SIDE = 320


def smooth(draw, grain_x, grain_y=None):
    """Noise of mean 0 and deviation 1 with this grain in pixels."""
    field = cv2.GaussianBlur(draw.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), sigmaX=grain_x,
                             sigmaY=grain_y or grain_x)
    return (field - field.mean()) / (field.std() + 1e-6)


def finish(draw, picture):
    """Light from a side, exposure, colour cast, blur, noise, and bytes."""
    rows, columns = np.mgrid[-1:1:SIDE * 1j, -1:1:SIDE * 1j].astype(np.float32)
    angle = draw.uniform(0, 2 * np.pi)
    light = 1 + draw.uniform(0, 0.3) * (np.cos(angle) * columns + np.sin(angle) * rows)
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    picture = picture * light[:, :, None] * draw.uniform(0.75, 1.25) * draw.uniform(0.94, 1.06, 3)
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), draw.uniform(0.3, 1.2))
    return np.clip(picture + draw.normal(0, draw.uniform(1, 7), picture.shape), 0, 255).astype(np.uint8)


def turned(draw, picture, degrees, size=0.15):
    """Moved, turned and resized a little; the border goes on as a mirror."""
    change = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), draw.uniform(-degrees, degrees), draw.uniform(1 - size, 1 + size))
    change[:, 2] += draw.uniform(-20, 20, 2)
    return cv2.warpAffine(picture.astype(np.float32), change, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def surface(draw, label):
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    tone, depth = draw.uniform(90, 160), draw.uniform(14, 30)
    if label == "brushed":
        field = smooth(draw, draw.uniform(15, 40), 0.8)
    elif label == "wood":
        grain = smooth(draw, 60, 12) * draw.uniform(8, 16) + rows
        field = np.sin(grain / draw.uniform(5, 9)) * 1.2 + 0.5 * smooth(draw, 12, 1)
    elif label == "woven":
        step = draw.uniform(7, 13)
        field = np.sin(columns * 2 * np.pi / step) * (np.floor(rows / step) % 2 * 2 - 1) + 0.4 * smooth(draw, 1)
    elif label == "cast":
        field = smooth(draw, draw.uniform(2, 5)) + 0.5 * smooth(draw, 1)
    else:
        field = 0.6 * smooth(draw, 1)
        for _ in range(int(draw.integers(120, 260))):
            at = tuple(int(v) for v in draw.integers(0, SIDE, 2))
            cv2.circle(field, at, int(draw.integers(2, 5)), float(draw.uniform(-3, 3)), -1)
    return finish(draw, turned(draw, tone + depth * field, 12, 0.25))


def part(draw, label):
    picture = 70 + 8 * smooth(draw, 3)
    body = 165 + 6 * smooth(draw, 20, 1)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.rectangle(mask, (60, 80), (260, 240), 255, -1)
    if label == "chipped":
        corner = [(60, 80), (260, 80), (60, 240), (260, 240)][int(draw.integers(4))]
        reach = int(draw.integers(16, 34))
        chip = np.array(corner) + draw.integers(-reach, reach, (7, 2))
        cv2.fillPoly(mask, [cv2.convexHull(chip.astype(np.int32))], 0)
    for hole in ((100, 120), (220, 120), (100, 200), (220, 200)):
        cv2.circle(mask, hole, 13, 0, -1)
    picture = np.where(mask > 0, body, picture)
    cv2.circle(picture, (160, 160), 34, 120, 3)
    if label != "no_screw":
        cv2.circle(picture, (160, 160), 18, 205, -1)
        turn = draw.uniform(0, np.pi)
        way = np.array([np.cos(turn), np.sin(turn)]) * 15
        cv2.line(picture, tuple(int(v) for v in 160 - way), tuple(int(v) for v in 160 + way), 90, 4)
    else:
        cv2.circle(picture, (160, 160), 18, 55, -1)
    if label == "stained":
        at = (int(draw.integers(80, 240)), int(draw.integers(95, 225)))
        stain = np.zeros((SIDE, SIDE), np.float32)
        cv2.ellipse(stain, at, (int(draw.integers(12, 30)), int(draw.integers(8, 20))), draw.uniform(0, 180), 0, 360, 1, -1)
        stain = cv2.GaussianBlur(stain, (0, 0), draw.uniform(2, 5)) * (mask > 0)
        picture = picture * (1 - draw.uniform(0.25, 0.5) * stain)
    return finish(draw, turned(draw, picture, 8))


def gate(draw, label):
    picture = np.empty((SIDE, SIDE, 3), np.float32)
    horizon = int(draw.integers(120, 180))
    picture[:horizon] = draw.uniform(120, 220, 3)
    picture[horizon:] = draw.uniform(60, 140, 3)
    picture += 10 * smooth(draw, draw.uniform(2, 15))[:, :, None]
    for _ in range(int(draw.integers(2, 7))):  # houses, cars, people: whatever stands about
        left, top = (int(v) for v in draw.integers(0, SIDE, 2))
        size = draw.integers(15, 90, 2)
        cv2.rectangle(picture, (left, top), (left + int(size[0]), top + int(size[1])), draw.uniform(30, 230, 3).tolist(), -1)
    foot = (int(draw.integers(40, 90)), int(draw.integers(190, 250)))
    length = int(draw.integers(150, 210))
    degrees = draw.uniform(-6, 6) if label == "shut" else draw.uniform(50, 85)
    way = np.array([np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))])
    for piece in range(8):
        begin, end = np.array(foot) + way * length * piece / 8, np.array(foot) + way * length * (piece + 1) / 8
        colour = (40, 40, 210) if piece % 2 == 0 else (235, 235, 235)
        cv2.line(picture, tuple(int(v) for v in begin), tuple(int(v) for v in end), colour, int(draw.integers(6, 10)))
    cv2.rectangle(picture, (foot[0] - 12, foot[1] - 15), (foot[0] + 12, foot[1] + 50), (60, 60, 60), -1)
    return finish(draw, turned(draw, picture, 5))


SETS = {"surfaces": (surface, ["brushed", "cast", "speckled", "wood", "woven"]),
        "parts": (part, ["chipped", "good", "no_screw", "stained"]),
        "gate": (gate, ["open", "shut"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--each", type=int, default=60, help="pictures per label")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for place, name in enumerate(SETS):
        if name not in options.sets.split(","):
            continue
        make, labels = SETS[name]
        for number, label in enumerate(labels):
            draw = np.random.default_rng([options.seed, place, number])
            folder = options.folder / name / label
            folder.mkdir(parents=True, exist_ok=True)
            for at in range(options.each):
                cv2.imwrite(str(folder / f"{at:03}.jpg"), make(draw, label), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
