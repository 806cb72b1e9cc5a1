"""Tiny cases whose figures follow by hand. Run: python3 tracking_metrics_test.py (needs bench/requirements.txt)."""
import unittest

import numpy as np

import tracking_metrics as metrics


def box(x):
    return np.array([x, 0.0, x + 1, 1.0])


def people(*ways):
    """ways: {frame: x or (x, is_asked)} per person, named a, b, ..."""
    frames = sorted({frame for way in ways for frame in way})
    return {frame: [("abc"[at], box(np.atleast_1d(way[frame])[0]), len(np.atleast_1d(way[frame])) < 2)
                    for at, way in enumerate(ways) if frame in way] for frame in frames}


def found(*ways):
    frames = range(1 + max(max(way) for way in ways))
    return [{"frame": frame, "objects": [[*box(way[frame]), 0.9, at + 1] for at, way in enumerate(ways) if frame in way]}
            for frame in frames]


class Tiny(unittest.TestCase):
    def judge(self, labels, pictures):
        clear = metrics.Clear(labels, pictures)
        return clear, metrics.Identity(clear.kept)

    def test_overlap(self):
        np.testing.assert_allclose(metrics.overlaps([box(0)], [box(0), box(0.5), box(2)]), [[1, 1 / 3, 0]])

    def test_perfect(self):
        way = {frame: frame * 0.1 for frame in range(10)}
        clear, identity = self.judge(people(way), found(way))
        self.assertEqual(clear.figures(), {"mota": 1, "motp": 1, "missed": 0, "false": 0, "switches": 0, "fragments": 0})
        self.assertEqual((identity.f1(), identity.ways, metrics.hota(clear.kept)), (1, 1, 1))

    def test_miss_and_false(self):
        way = {frame: 0.0 for frame in range(10)}
        clear, identity = self.judge(people(way), found({f: x for f, x in way.items() if f not in (4, 5)}, {3: 5.0}))
        figures = clear.figures()
        self.assertEqual((figures["missed"], figures["false"], figures["fragments"]), (2, 1, 1))
        self.assertAlmostEqual(figures["mota"], 0.7)
        self.assertAlmostEqual(identity.f1(), 2 * 8 / (10 + 9))

    def test_switch_in_the_middle(self):
        way = {frame: 0.0 for frame in range(10)}
        clear, identity = self.judge(people(way), found({f: 0.0 for f in range(5)}, {f: 0.0 for f in range(5, 10)}))
        self.assertEqual(clear.figures()["switches"], 1)
        self.assertAlmostEqual(clear.figures()["mota"], 0.9)
        self.assertAlmostEqual(identity.f1(), 0.5)
        self.assertAlmostEqual(metrics.hota(clear.kept), np.sqrt(0.5))  # each half is associated by 5 of 10

    def test_two_swap(self):
        left, right = {f: 0.0 for f in range(10)}, {f: 5.0 for f in range(10)}
        crossed = ({f: 0.0 if f < 6 else 5.0 for f in range(10)}, {f: 5.0 if f < 6 else 0.0 for f in range(10)})
        clear, identity = self.judge(people(left, right), found(*crossed))
        self.assertEqual(clear.figures()["switches"], 2)
        self.assertAlmostEqual(identity.f1(), 0.6)

    def test_hidden_is_neither_missed_nor_false(self):
        way = {f: (0.0, 0) if 3 <= f < 6 else 0.0 for f in range(10)}
        for shown in (range(10), [0, 1, 2, 6, 7, 8, 9]):
            clear, identity = self.judge(people(way), found({f: 0.0 for f in shown}))
            self.assertEqual((clear.figures()["mota"], clear.figures()["fragments"], identity.f1()), (1, 0, 1))

    def test_a_switch_behind_something_counts_afterwards(self):
        way = {f: (0.0, 0) if 3 <= f < 6 else 0.0 for f in range(10)}
        clear, _ = self.judge(people(way), found({f: 0.0 for f in range(3)}, {f: 0.0 for f in range(4, 10)}))
        self.assertEqual(clear.figures()["switches"], 1)

    def test_pairs_last_even_if_another_fits_better(self):
        clear, _ = self.judge(people({0: 0.0, 1: 0.0}), found({0: 0.0, 1: 0.3}, {1: 0.0}))
        self.assertEqual((clear.figures()["switches"], clear.figures()["false"]), (0, 1))

    def test_labels_between_set_boxes(self):
        labels = {"width": 10, "height": 10, "first": 0, "last": 2, "persons": [
            {"id": "a", "boxes": [[0, 0, 0, 2, 4], [2, 4, 2, 6, 6]], "hidden": [[1, 1]], "cut": []}]}
        pictures = metrics.read_labels(labels)
        np.testing.assert_allclose(pictures[1][0][1], [0.2, 0.1, 0.4, 0.5])
        self.assertEqual([pictures[f][0][2] for f in range(3)], [True, False, True])


if __name__ == "__main__":
    unittest.main()
