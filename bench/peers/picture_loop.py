"""The peer of the picture benchmarks: OpenCV's own way from pictures to a network's input, and from its numbers to boxes.

    picture_loop.py FILM FOLDER_OF_JPEGS HEAD

Commands and answers are those of bench/pictures_side.cc: prepost N, jpeg N, h264 N; also jpeg-reduced N, which decodes to
half of the size. One thread; buffers are made once.
"""
import json
import os
import pathlib
import sys
import time

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
import cv2
import numpy as np

SIDE = 640
PREPARED_FRAMES = 16
SCORE_MIN, OVERLAP_MAX = 0.25, 0.5


class Pictures:
    def __init__(self, film, jpegs, head):
        self.film = film
        self.capture = cv2.VideoCapture(film)
        self.prepared = [self.next_of_film() for _ in range(PREPARED_FRAMES)]
        self.capture = cv2.VideoCapture(film)
        self.jpegs = [np.fromfile(file, np.uint8) for file in sorted(pathlib.Path(jpegs).iterdir())]
        self.head = np.fromfile(head, np.float32).reshape(1, 84, -1)
        self.canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        self.turn = 0

    def next_of_film(self):
        good, picture = self.capture.read()
        if not good:
            self.capture = cv2.VideoCapture(self.film)
            good, picture = self.capture.read()
        if not good:
            sys.exit(f"picture_loop.py: OpenCV cannot read {self.film}")
        return picture

    def blob(self, picture):
        scale = min(SIDE / picture.shape[1], SIDE / picture.shape[0])
        width, height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        left, top = (SIDE - width) // 2, (SIDE - height) // 2
        place = self.canvas[top : top + height, left : left + width]
        cv2.resize(picture, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)
        return cv2.dnn.blobFromImage(self.canvas, 1 / 255, swapRB=True)

    def boxes(self):
        rows = self.head[0]
        scores = rows[4:].max(axis=0)
        kept = np.flatnonzero(scores >= SCORE_MIN)
        labels = rows[4:, kept].argmax(axis=0)
        centre, size = rows[:2, kept].T, rows[2:4, kept].T
        boxes = np.concatenate([centre - size / 2, size], axis=1)
        return len(cv2.dnn.NMSBoxesBatched(boxes, scores[kept], labels, SCORE_MIN, OVERLAP_MAX))

    def run(self, work):
        self.turn += 1
        if work == "prepost":
            self.blob(self.prepared[self.turn % PREPARED_FRAMES])
            return self.boxes()
        if work == "h264":
            picture = self.next_of_film()
        else:
            kind = cv2.IMREAD_REDUCED_COLOR_2 if work == "jpeg-reduced" else cv2.IMREAD_COLOR
            picture = cv2.imdecode(self.jpegs[self.turn % len(self.jpegs)], kind)
        self.blob(picture)
        return 0


def main():
    cv2.setNumThreads(1)
    pictures = Pictures(*sys.argv[1:4])
    print(json.dumps({"ready": f"opencv {cv2.__version__}"}), flush=True)
    for line in sys.stdin:
        work, count = line.split()
        begun, processor_begun = time.perf_counter(), time.process_time()
        objects = sum(pictures.run(work) for _ in range(int(count)))
        answer = {
            "seconds": time.perf_counter() - begun,
            "processor_s": time.process_time() - processor_begun,
            "objects": objects,
        }
        print(json.dumps(answer), flush=True)


main()
