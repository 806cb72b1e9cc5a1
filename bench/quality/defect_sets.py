"""Makes pictures of parts, good ones and ones with defects, for judging what `verge train vision` teaches.

    defect_sets.py FOLDER [--sets judge|develop|all] [--seed 1] [--good 30] [--test 30]

One folder per surface: good/*.png to learn from, test/good/*.png, test/<defect>/*.png and masks/<defect>/*.png (white:
defect). Surfaces differ in texture, light, position and noise from picture to picture; bracket, housing and shifted_label
are parts that lie elsewhere in each, turned and scaled. Methods were developed on the
surfaces of `develop` alone; figures are reported for those of `judge`, with default settings.
"""
import argparse
import pathlib

import cv2
import numpy as np

SIZE = 320


def noise(draw, scale_x, scale_y, size=SIZE):
    """Smooth noise of mean 0 and deviation 1 with this grain in pixels."""
    field = draw.standard_normal((size, size)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), sigmaX=max(scale_x, 0.01), sigmaY=max(scale_y, 0.01))
    return (field - field.mean()) / (field.std() + 1e-6)


def lit(draw, picture, strength=0.12):
    """Light from a side that moves, a gain, a little noise of the sensor."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5
    angle = draw.uniform(0, 2 * np.pi)
    light = 1 + strength * draw.uniform(0.2, 1) * (np.cos(angle) * x + np.sin(angle) * y) * 2
    picture = picture * light[..., None] * draw.uniform(1 - strength, 1 + strength)
    return np.clip(picture + draw.normal(0, 2.0, picture.shape), 0, 255)


def moved(draw, picture, pixels, degrees, scale=0.0, border=cv2.BORDER_REFLECT):
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), draw.uniform(-degrees, degrees), 1 + draw.uniform(-scale, scale) if scale else 1)
    turn[:, 2] += draw.uniform(-pixels, pixels, 2)
    return cv2.warpAffine(picture, turn, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=border)


def brushed_metal(draw):
    grey = 150 + 9 * noise(draw, 25, 0.5) + 5 * noise(draw, 60, 1.2) + 3 * noise(draw, 0.5, 0.5)
    return moved(draw, np.repeat(grey[..., None], 3, 2), 0, 4), {}


def fabric(draw):
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    x, y = x + draw.uniform(0, 12) + 1.0 * noise(draw, 15, 15), y + draw.uniform(0, 12) + 1.0 * noise(draw, 15, 15)
    weave = np.where((np.floor(x / 6) + np.floor(y / 6)) % 2 > 0, np.sin(np.pi * x / 6) ** 2, np.sin(np.pi * y / 6) ** 2)
    grey = 0.55 + 0.35 * weave + 0.04 * noise(draw, 1, 1)
    return moved(draw, grey[..., None] * np.array([150, 120, 90], np.float32), 0, 3), {}


def wood(draw):
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    rings = np.sin((x + 14 * noise(draw, 18, 80) + draw.uniform(0, 99)) / draw.uniform(5, 8))
    grain = noise(draw, 0.7, 14)
    tone = 0.75 + 0.10 * rings + 0.06 * grain + 0.05 * noise(draw, 40, 60)
    return tone[..., None] * np.array([95, 140, 190], np.float32), {}


def leather(draw):
    cells = noise(draw, 3.0, 3.0)
    ridges = np.exp(-np.abs(cells) * 2.5)
    grey = 0.62 - 0.28 * ridges + 0.05 * noise(draw, 0.8, 0.8) + 0.05 * noise(draw, 30, 30)
    return grey[..., None] * np.array([70, 100, 160], np.float32), {}


def part_picture(seed, background, parts):
    """A drawing that is the same in every picture; parts can be left out."""
    draw = np.random.default_rng(seed)
    picture = np.full((SIZE, SIZE, 3), background, np.float32)
    places = []
    for row in range(parts):
        for column in range(parts):
            step = SIZE // parts
            x, y = column * step + int(draw.integers(8, 16)), row * step + int(draw.integers(8, 16))
            width, height = int(draw.integers(step // 3, step - 26)), int(draw.integers(step // 4, step - 26))
            places.append((x, y, width, height, tuple(draw.uniform(20, 230, 3))))
    return picture, places, draw


def draw_part(picture, place):
    x, y, width, height, colour = place
    cv2.rectangle(picture, (x, y), (x + width, y + height), colour, -1)
    cv2.rectangle(picture, (x, y), (x + width, y + height), tuple(c * 0.5 for c in colour), 2)
    for pin in range(x + 3, x + width - 2, 8):
        cv2.rectangle(picture, (pin, y - 4), (pin + 3, y), (200, 205, 205), -1)
        cv2.rectangle(picture, (pin, y + height), (pin + 3, y + height + 4), (200, 205, 205), -1)


def board(draw, missing=None):
    picture, places, fixed = part_picture(11, (60, 95, 40), 4)
    for _ in range(26):
        a, b = fixed.integers(0, SIZE, 2)
        c = a + fixed.integers(-90, 90)
        cv2.polylines(picture, [np.array([[a, b], [c, b], [c, b + fixed.integers(-70, 70)]], np.int32)], False, (70, 135, 70), 2)
    for index, place in enumerate(places):
        if index != missing:
            draw_part(picture, place)
    return moved(draw, picture + 2 * noise(draw, 1, 1)[..., None], 4, 1.0), {"places": places}


def label(draw, missing=None):
    picture, places, _ = part_picture(23, (215, 220, 222), 3)
    picture = picture.astype(np.uint8)  # OpenCV writes letters into bytes only.
    for index, place in enumerate(places):
        if index == missing:
            continue
        x, y, width, height, colour = place
        if index % 2:
            cv2.ellipse(picture, (x + width // 2, y + height // 2), (width // 2, height // 2), 0, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            cv2.putText(picture, f"VG{37 * index + 12}", (x - 4, y + height), cv2.FONT_HERSHEY_DUPLEX, 0.9, tuple(c * 0.4 for c in colour), 2, cv2.LINE_AA)
    return moved(draw, picture.astype(np.float32) + 2 * noise(draw, 2, 2)[..., None], 5, 1.5), {"places": places}


def on_belt(draw, part, cover, pixels, degrees, scale):
    """A part [SIZE, SIZE, 3] that lies somewhere on a belt, which does not move with it. cover: 1 where the part is."""
    layers = moved(draw, np.dstack([part, cover]), pixels, degrees, scale, cv2.BORDER_CONSTANT)
    belt = 48 + 5 * noise(draw, 0.8, 6) + 3 * noise(draw, 20, 20)
    cover = np.clip(layers[..., 3:], 0, 1)
    return belt[..., None] * (1 - cover) + (layers[..., :3] + 2 * noise(draw, 1, 1)[..., None]) * cover


def bracket(draw, missing=None):
    """A sheet of metal with holes and screws."""
    part, cover = np.full((SIZE, SIZE, 3), 150, np.float32), np.zeros((SIZE, SIZE), np.float32)
    cv2.fillPoly(cover, [np.array([[50, 90], [180, 60], [270, 90], [270, 170], [190, 180], [170, 265], [60, 250]], np.int32)], 1, cv2.LINE_AA)
    for index, (x, y) in enumerate([(80, 110), (130, 100), (190, 95), (245, 110), (245, 150), (85, 170), (150, 170), (90, 230), (145, 235)]):
        cv2.circle(part, (x, y), 9, (60, 60, 62), -1, cv2.LINE_AA)
        if index != missing:
            cv2.circle(part, (x, y), 7, (205, 210, 212), -1, cv2.LINE_AA)
            cv2.line(part, (x - 5, y - 2), (x + 5, y + 2), (70, 70, 70), 2, cv2.LINE_AA)
    cv2.line(part, (175, 75), (165, 262), (120, 120, 122), 2, cv2.LINE_AA)
    return on_belt(draw, part, cover, 22, 6, 0.03), {}


def housing(draw, missing=None):
    """A moulded housing with ribs, a window and pins."""
    part, cover = np.full((SIZE, SIZE, 3), (96, 74, 58), np.float32), np.zeros((SIZE, SIZE), np.float32)
    cv2.rectangle(cover, (62, 70), (258, 246), 1, -1)
    for x in range(80, 250, 14):
        cv2.line(part, (x, 82), (x, 120), (126, 100, 80), 4, cv2.LINE_AA)
    cv2.rectangle(part, (84, 140), (170, 222), (24, 26, 30), -1)
    cv2.rectangle(part, (84, 140), (170, 222), (140, 120, 100), 2)
    for index in range(9):
        x, y = 192 + index % 3 * 22, 146 + index // 3 * 32
        cv2.rectangle(part, (x, y), (x + 11, y + 20), (60, 48, 40), -1)
        if index != missing:
            cv2.rectangle(part, (x + 3, y + 3), (x + 8, y + 17), (90, 190, 215), -1)
    return on_belt(draw, part, cover, 25, 5, 0.04), {}


def shifted_label(draw, missing=None):
    """The label where the camera does not stand still: all of the picture moves."""
    picture, places, _ = part_picture(31, (205, 214, 220), 3)
    picture = picture.astype(np.uint8)
    for index, (x, y, width, height, colour) in enumerate(places):
        if index == missing:
            continue
        if index % 2:
            cv2.rectangle(picture, (x, y), (x + width, y + height), colour, 3, cv2.LINE_AA)
        else:
            cv2.putText(picture, f"K{53 * index + 8}", (x - 4, y + height), cv2.FONT_HERSHEY_DUPLEX, 1.0, tuple(c * 0.5 for c in colour), 2, cv2.LINE_AA)
    return moved(draw, picture.astype(np.float32), 26, 5, 0.03, cv2.BORDER_REPLICATE) + 2 * noise(draw, 2, 2)[..., None], {}


def scratch(draw, picture, made):
    mask = np.zeros((SIZE, SIZE), np.float32)
    x, y = draw.uniform(0.15, 0.85, 2) * SIZE
    angle, points = draw.uniform(0, 2 * np.pi), []
    for _ in range(int(draw.integers(3, 7))):
        points.append((int(x), int(y)))
        angle += draw.uniform(-0.5, 0.5)
        x, y = x + 14 * np.cos(angle), y + 14 * np.sin(angle)
    cv2.polylines(mask, [np.array(points, np.int32)], False, 1.0, int(draw.integers(1, 3)), cv2.LINE_AA)
    change = draw.choice([-1, 1]) * draw.uniform(35, 80)
    return picture + change * mask[..., None], mask > 0.3


def blob(draw, picture, made):
    mask = np.zeros((SIZE, SIZE), np.float32)
    centre = tuple(int(v) for v in draw.uniform(0.1, 0.9, 2) * SIZE)
    cv2.ellipse(mask, centre, (int(draw.integers(3, 9)), int(draw.integers(3, 9))), draw.uniform(0, 180), 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.0)
    return picture * (1 - mask[..., None]) + mask[..., None] * draw.uniform(10, 240, 3), mask > 0.3


def stain(draw, picture, made):
    centre = draw.uniform(0.2, 0.8, 2) * SIZE
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    radius = draw.uniform(14, 30) * (1 + 0.2 * noise(draw, 12, 12))
    mask = 1 / (1 + np.exp((np.hypot(x - centre[0], y - centre[1]) - radius) / 2.5))
    return picture * (1 - mask[..., None] * (1 - draw.uniform(0.65, 0.92, 3))), mask > 0.5


def texture(draw, picture, made):
    mask = np.zeros((SIZE, SIZE), np.float32)
    x, y = (int(v) for v in draw.uniform(0.1, 0.7, 2) * SIZE)
    width, height = (int(v) for v in draw.integers(24, 60, 2))
    mask[y : y + height, x : x + width] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), 2)
    other = cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE) if draw.random() < 0.5 else cv2.GaussianBlur(picture, (0, 0), 4)
    return picture * (1 - mask[..., None]) + other * mask[..., None], mask > 0.5


SURFACES = {  # surface: how it is made, its defects, develop or judge
    "metal": (brushed_metal, ["scratch", "blob", "stain"], "develop"),
    "fabric": (fabric, ["blob", "stain", "texture"], "develop"),
    "board": (board, ["missing", "scratch", "blob"], "develop"),
    "wood": (wood, ["scratch", "blob", "stain", "texture"], "judge"),
    "leather": (leather, ["scratch", "blob", "stain", "texture"], "judge"),
    "label": (label, ["missing", "scratch", "stain", "blob"], "judge"),
    "bracket": (bracket, ["missing", "scratch", "blob", "stain"], "develop"),
    "housing": (housing, ["missing", "scratch", "blob", "stain"], "judge"),
    "shifted_label": (shifted_label, ["missing", "scratch", "blob", "stain"], "judge"),
}
DEFECTS = {"scratch": scratch, "blob": blob, "stain": stain, "texture": texture}


def make(surface, defect, draw):
    """A picture [320, 320, 3] uint8 and the defect's mask."""
    function = SURFACES[surface][0]
    if defect == "missing":
        picture, made = function(draw, missing=int(draw.integers(0, 9)))
        mask = np.zeros((SIZE, SIZE), bool)  # The part moved with the picture: only whole pictures are judged.
    else:
        picture, made = function(draw)
        mask = np.zeros((SIZE, SIZE), bool)
        if defect:
            picture, mask = DEFECTS[defect](draw, picture, made)
    return lit(draw, picture).astype(np.uint8), mask


def write_set(folder, surface, seed, good, test):
    draw = np.random.default_rng([seed, list(SURFACES).index(surface)])
    for part, defect, count in [("good", None, good), ("test/good", None, test)] + [
        (f"test/{name}", name, test // len(SURFACES[surface][1])) for name in SURFACES[surface][1]
    ]:
        (folder / surface / part).mkdir(parents=True, exist_ok=True)
        if defect:
            (folder / surface / "masks" / defect).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture, mask = make(surface, defect, draw)
            cv2.imwrite(str(folder / surface / part / f"{index:03}.png"), picture)
            if defect and mask.any():
                cv2.imwrite(str(folder / surface / "masks" / defect / f"{index:03}.png"), mask.astype(np.uint8) * 255)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--sets", choices=["develop", "judge", "all"], default="judge")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--good", type=int, default=30, help="good pictures to learn from, per surface")
    parser.add_argument("--test", type=int, default=36, help="good and about as many defective pictures to judge, per surface")
    options = parser.parse_args()
    for surface, (_, _, use) in SURFACES.items():
        if options.sets in ("all", use):
            write_set(options.folder, surface, options.seed, options.good, options.test)


if __name__ == "__main__":
    main()
