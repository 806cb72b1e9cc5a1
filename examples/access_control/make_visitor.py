#!/usr/bin/env python3
"""Makes the pictures of a visitor out of one portrait, as a camera at a door might take them.

    make_visitor.py PORTRAIT.png FOLDER [--photograph]

It is one still picture, moved, turned a little, nearer and further, in changing light: no film of a person. --photograph
holds it flat before the camera and turns it from side to side, as somebody would who holds up a photograph. Needs nothing but Python.
"""
import argparse
import math
import pathlib
import struct
import zlib

SIDE = 192  # Pixels of a picture.
COUNT = 20  # Four seconds of five pictures.
FACE = (224, 130)  # In the portrait.


def read_png(path):
    """Width, height and rows of RGB bytes of an 8-bit RGB file without interlacing."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        content = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", content)
            if (depth, colours, interlaced) != (8, 2, 0):
                raise SystemExit(f"{path}: it must be a PNG file of 8-bit RGB without interlacing")
        if kind == b"IDAT":
            packed += content
        at += 12 + length
    lines, stride, rows, before = zlib.decompress(packed), width * 3 + 1, [], bytearray(width * 3)
    for y in range(height):
        rows.append(unfiltered(lines[y * stride], bytearray(lines[y * stride + 1:(y + 1) * stride]), before))
        before = rows[-1]
    return width, height, rows


def unfiltered(kind, line, above):
    """A line of a PNG file without its prediction (PNG specification, section 9)."""
    for i in range(len(line)):
        left, up, corner = (line[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
        if kind == 1:
            line[i] = line[i] + left & 255
        elif kind == 2:
            line[i] = line[i] + up & 255
        elif kind == 3:
            line[i] = line[i] + (left + up) // 2 & 255
        elif kind == 4:
            guess = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
            line[i] = line[i] + nearest[2] & 255
    return line


def write_png(path, rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def seen(portrait, across, down, zoom, roll, yaw, pitch, light):
    """The portrait as a flat thing before a camera, its face at (across, down) of the picture.

    Each pixel's ray is followed to the plane: angles in degrees, distances in portrait pixels.
    """
    width, height, rows = portrait
    away = 700.0
    cr, sr, cy, sy, cp, sp = (turn(math.radians(angle)) for angle in (roll, yaw, pitch) for turn in (math.cos, math.sin))
    # The plane's two directions in space: turned by yaw, then pitch, then roll.
    right = (cy * cr + sp * sy * sr, cy * sr - sp * sy * cr, -sy * cp)
    below = (-cp * sr, cp * cr, -sp)
    normal = (right[1] * below[2] - right[2] * below[1], right[2] * below[0] - right[0] * below[2], right[0] * below[1] - right[1] * below[0])
    picture = []
    for y in range(SIDE):
        line = bytearray()
        for x in range(SIDE):
            ray = ((x - across * SIDE) / zoom, (y - down * SIDE) / zoom, away)
            reach = normal[2] * away / (ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
            spot = (ray[0] * reach, ray[1] * reach, ray[2] * reach - away)
            u = FACE[0] + sum(a * b for a, b in zip(spot, right))
            v = FACE[1] + sum(a * b for a, b in zip(spot, below))
            line += colour(width, height, rows, u, v, light)
        picture.append(line)
    return picture


def colour(width, height, rows, u, v, light):
    """Between four pixels; beside the portrait a grey wall."""
    i, j = int(u), int(v)
    if not (u >= 0 and v >= 0 and i < width - 1 and j < height - 1):
        return bytes(3 * [min(255, int(110 * light))])
    a, b, upper, lower, i = u - i, v - j, rows[j], rows[j + 1], 3 * i
    return bytes(min(255, int(light * ((upper[k] * (1 - a) + upper[k + 3] * a) * (1 - b) + (lower[k] * (1 - a) + lower[k + 3] * a) * b)))
                 for k in range(i, i + 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("portrait", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--photograph", action="store_true", help="held flat and turned from side to side")
    given = parser.parse_args()
    portrait = read_png(given.portrait)
    given.folder.mkdir(parents=True, exist_ok=True)
    for at in range(COUNT):
        way = 2 * math.pi * at / COUNT
        yaw, pitch = 0, 0
        if given.photograph:  # A second straight on, then to the left, to the right and back, by up to 40 degrees.
            yaw = 40 * math.sin(2 * math.pi * max(0, at - 5) / (COUNT - 5))
            pitch = 8 * math.sin(way)
        picture = seen(portrait, 0.5 + 0.06 * math.sin(way), 0.5 + 0.05 * math.cos(2 * way), 1 + 0.22 * math.cos(way), 7 * math.sin(way + 1),
                       yaw, pitch, 0.85 + 0.22 * math.sin(way * 1.5))
        write_png(given.folder / f"{at:03}.png", picture)


if __name__ == "__main__":
    main()
