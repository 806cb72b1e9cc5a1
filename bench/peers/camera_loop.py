"""The peer of `./dev bench cameras`: a thread per camera, OpenCV's VideoCapture, a motion gate, ONNX Runtime.

    camera_loop.py MODEL_FOLDER STEP URL...     every STEP-th picture is looked at; one session for all, a run on the caller's thread

As one would write it with care: pictures that are not looked at are grabbed and never converted; the gate compares a small
grey picture with its running mean; still pictures go through twice in four seconds. Answers every line on the standard input with
{"received", "due", "analysed", ...} so far.
"""
import json
import os
import pathlib
import sys
import threading
import time

os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
import cv2
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from vision_loop import Detector

STILL_S, HOLD_S, STEP_MIN, AREA_MIN = 2.0, 1.0, 8, 0.002  # As the pipeline's gate.
NAMES = ("received", "picked", "due", "analysed", "dropped", "decoded")


class Camera(threading.Thread):
    def __init__(self, url, detector, step):
        super().__init__(daemon=True)
        self.url, self.detector, self.step = url, detector, step
        self.counts = dict.fromkeys(NAMES, 0)
        self.mean, self.moved, self.passed = None, -1e9, -1e9

    def goes_through(self, picture, now):
        small = cv2.cvtColor(cv2.resize(picture, (80, 45), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)
        if self.mean is None:
            self.mean = small
        share = float((np.abs(small - self.mean) > STEP_MIN).mean())
        cv2.accumulateWeighted(small, self.mean, 0.05)
        if share >= AREA_MIN:
            self.moved = now
        if now - self.moved < HOLD_S or now - self.passed >= STILL_S:
            self.passed = now
            return True
        return False

    def run(self):
        capture = cv2.VideoCapture(self.url, cv2.CAP_FFMPEG)
        while capture.grab():
            self.counts["received"] += 1
            self.counts["decoded"] += 1
            if self.counts["received"] % self.step:
                continue
            good, picture = capture.retrieve()
            if not good:
                continue
            self.counts["picked"] += 1
            if self.goes_through(picture, time.monotonic()):
                self.counts["due"] += 1
                self.detector.detect(picture)
                self.counts["analysed"] += 1


class SharedDetector(Detector):
    """The canvas belongs to whoever prepares; the run is the session's."""

    def __init__(self, folder, threads):
        super().__init__(folder, threads)
        self.lock = threading.Lock()

    def prepare(self, picture):
        with self.lock:
            return super().prepare(picture)


def main():
    cv2.setNumThreads(1)
    detector = SharedDetector(pathlib.Path(sys.argv[1]), 1)
    cameras = [Camera(url, detector, int(sys.argv[2])) for url in sys.argv[3:]]
    for camera in cameras:
        camera.start()
    for _ in sys.stdin:
        print(json.dumps({name: sum(camera.counts[name] for camera in cameras) for name in NAMES}), flush=True)
        sys.stdout.flush()
    os._exit(0)  # Threads that read do not end by themselves.


if __name__ == "__main__":
    main()
