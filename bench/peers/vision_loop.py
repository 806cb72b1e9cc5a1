"""The peer of the vision benchmarks: OpenCV and ONNX Runtime by hand, as one would write it in Python with care.

    vision_loop.py MODEL_FOLDER FILM THREADS        0 threads: as many, and as restless, as each library likes

Commands and answers are those of bench/vision_side.cc: whole N, frame N, bare N. Same model file, same preparation by
the model's card, same thresholds; buffers are made once; spinning is off.
"""
import json
import pathlib
import sys
import time

import cv2
import numpy as np
import onnxruntime

PREPARED_FRAMES = 64


class Detector:
    def __init__(self, folder, threads):
        self.card = json.loads((folder / "card.json").read_text())
        options = onnxruntime.SessionOptions()
        if threads > 0:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(folder / self.card["file"]), options, providers=["CPUExecutionProvider"]
        )
        self.input_name = self.session.get_inputs()[0].name
        picture = self.card["picture"]
        self.width, self.height = picture["width"], picture["height"]
        self.swaps_colours = picture["colours"] == "rgb"
        self.mean = picture["mean"]
        self.factor = (1.0 / np.array(picture["deviation"], np.float32)).reshape(1, 3, 1, 1)
        self.canvas = np.full((self.height, self.width, 3), picture["filling"], np.uint8)
        self.person = self.card["labels"].index("person")
        self.score_min = self.card["thresholds"]["score"]
        self.overlap_max = self.card["thresholds"]["overlap"]
        self.bins = np.arange(self.card["head"]["bins"], dtype=np.float32)
        self.heads = [self._head(stride) for stride in self.card["head"]["strides"]]

    def _head(self, stride):
        """Which outputs belong to a stride, and the centres of its cells."""
        across, down = -(-self.width // stride), -(-self.height // stride)
        shapes = [tuple(output.shape) for output in self.session.get_outputs()]
        x, y = np.meshgrid(np.arange(across, dtype=np.float32) + 0.5, np.arange(down, dtype=np.float32) + 0.5)
        centres = np.stack([x.ravel(), y.ravel()], 1) * stride
        scores = shapes.index((1, across * down, len(self.card["labels"])))
        boxes = shapes.index((1, across * down, 4 * len(self.bins)))
        return stride, scores, boxes, centres

    def prepare(self, picture):
        scale = min(self.width / picture.shape[1], self.height / picture.shape[0])
        width, height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        cv2.resize(picture, (width, height), dst=self.canvas[:height, :width], interpolation=cv2.INTER_LINEAR)
        blob = cv2.dnn.blobFromImage(self.canvas, 1.0, mean=self.mean, swapRB=self.swaps_colours)
        blob *= self.factor
        return blob, scale

    def detect(self, picture):
        blob, scale = self.prepare(picture)
        outputs = self.session.run(None, {self.input_name: blob})
        boxes, scores = [], []
        for stride, score_index, box_index, centres in self.heads:
            score = outputs[score_index][0, :, self.person]
            kept = np.flatnonzero(score >= self.score_min)
            if kept.size == 0:
                continue
            sides = outputs[box_index][0, kept].reshape(-1, 4, self.bins.size)
            power = np.exp(sides - sides.max(axis=2, keepdims=True))
            distance = (power @ self.bins) / power.sum(axis=2) * stride
            corner = centres[kept] - distance[:, :2]
            boxes.append(np.concatenate([corner, distance[:, :2] + distance[:, 2:]], 1))
            scores.append(score[kept])
        if not boxes:
            return np.empty((0, 4), np.float32)
        boxes, scores = np.concatenate(boxes), np.concatenate(scores)
        kept = cv2.dnn.NMSBoxes(boxes, scores, self.score_min, self.overlap_max)
        return boxes[np.asarray(kept, int)] / scale


class Film:
    def __init__(self, path):
        self.path = str(path)
        self.capture = cv2.VideoCapture(self.path)
        self.prepared = [self.next() for _ in range(PREPARED_FRAMES)]
        self.capture = cv2.VideoCapture(self.path)

    def next(self):
        good, picture = self.capture.read()
        if not good:
            self.capture = cv2.VideoCapture(self.path)
            good, picture = self.capture.read()
        if not good:
            sys.exit(f"vision_loop.py: OpenCV cannot read {self.path}")
        return picture


def main():
    folder, film_path, threads = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if threads > 0:
        cv2.setNumThreads(threads)
    detector = Detector(folder, threads)
    film = Film(film_path)
    blob, _ = detector.prepare(film.prepared[0])
    print(json.dumps({"ready": f"onnxruntime {onnxruntime.__version__}, opencv {cv2.__version__}"}), flush=True)
    turn = 0
    for line in sys.stdin:
        work, count = line.split()
        objects = 0
        begun, processor_begun = time.perf_counter(), time.process_time()
        for _ in range(int(count)):
            if work == "bare":
                detector.session.run(None, {detector.input_name: blob})
            elif work == "whole":
                objects += len(detector.detect(film.next()))
            else:
                objects += len(detector.detect(film.prepared[turn % PREPARED_FRAMES]))
                turn += 1
        answer = {
            "seconds": time.perf_counter() - begun,
            "processor_s": time.process_time() - processor_begun,
            "objects": objects,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
