"""Vectors for the benchmark of nearest neighbours: FOLDER/random.bank, random.queries, patches.bank, patches.queries.

    make_vectors.py FOLDER

16,000 rows and 784 queries of 384 float32 each. `random`: independent normal numbers. `patches`: mixtures of 64 directions
whose strength falls, and a little noise, as features of patches of pictures are.
"""
import pathlib
import sys

import numpy as np

ROWS, QUERIES, DIMENSIONS, DIRECTIONS = 16_000, 784, 384, 64


def main():
    folder = pathlib.Path(sys.argv[1])
    draw = np.random.default_rng(1)
    directions = draw.standard_normal((DIRECTIONS, DIMENSIONS)) / np.arange(1, DIRECTIONS + 1)[:, None]
    for part, count in (("bank", ROWS), ("queries", QUERIES)):
        noise = draw.standard_normal((count, DIMENSIONS))
        mixed = draw.standard_normal((count, DIRECTIONS)) @ directions + 0.05 * draw.standard_normal((count, DIMENSIONS))
        noise.astype(np.float32).tofile(folder / f"random.{part}")
        mixed.astype(np.float32).tofile(folder / f"patches.{part}")


main()
