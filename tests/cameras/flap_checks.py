"""Cameras that come and go: 200 lost connections over 16 sources leave no descriptor, thread or memory behind.

check_cameras.py calls check_flaps(). 100 losses before are the warm-up: the allocator's memory has then been as large as it
gets (of 800 losses, the last 700 changed it by less than 2 MB). What one of the 200 left behind would be there 200 times.
"""
import collections
import os
import pathlib
import re
import time
import urllib.request

from cameras import RtspCamera
from testkit import Program, until

METRICS = "127.0.0.1:19602"
FIRST_PORT, SOURCES, LOSSES, WARM_UP_LOSSES = 8640, 16, 200, 100
GROWTH_MB_MAX = 4.0  # 20 KB for each loss; a connection with its decoder has a megabyte.
SECONDS_MAX = 90


def state_of(pid):
    """Descriptors, threads, and MB of memory that is the process's own."""
    folder = pathlib.Path(f"/proc/{pid}")
    anonymous = re.search(r"^Anonymous: +(\d+)", (folder / "smaps_rollup").read_text(), re.M)
    return len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")), int(anonymous[1]) / 1024


def counted(name, result=""):
    """A metric of cameras, by stream."""
    text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5).read().decode()
    counts = collections.Counter()
    for labels, value in re.findall(rf"^verge_camera_{name}\{{(.*?)\}} (\S+)$", text, re.M):
        if not result or f'result="{result}"' in labels:
            counts[re.search(r'stream="(.*?)"', labels)[1]] += int(float(value))
    return counts


def shown():
    return counted("pictures_total", "shown")


def all_show():
    """Whether every source shows a picture that it had not shown before."""
    before = shown()
    return until(lambda: len(before) == SOURCES and all(count > before[name] for name, count in shown().items()), 20)


def flap(cameras, losses):
    """Ends connections that show pictures until so many were lost, whichever is ready; how many were lost."""
    end, lost = time.monotonic() + SECONDS_MAX, sum(counted("reconnects_total").values())
    dropped_at = {}  # What each source had shown then.
    while lost < losses and time.monotonic() < end:
        now = shown()
        for i, camera in enumerate(cameras[: losses - lost]):
            if now[f"c{i}"] > dropped_at.get(i, 0) + 1:
                dropped_at[i] = now[f"c{i}"]
                camera.drop()
        time.sleep(0.1)
        lost = sum(counted("reconnects_total").values())
    return lost


def check_flaps(programs, folder, film, verdicts):
    cameras = [RtspCamera(FIRST_PORT + i, film) for i in range(SOURCES)]
    file = folder / "flaps.yaml"
    sources = "".join(f"  c{i}: {{kind: camera, url: 'rtsp://127.0.0.1:{FIRST_PORT + i}/door'}}\n" for i in range(SOURCES))
    file.write_text(f"purpose: Cameras that come and go.\nversion: 1\nsources:\n{sources}stages:\n  - motion: {{}}\nsinks:\n  - stdout: {{}}\n")
    program = Program([programs / "verge-infer", file, "--metrics", METRICS], folder / "flaps.log", {})
    program.start()
    try:
        verdicts.check("flaps: all cameras show pictures", until(lambda: len(shown()) == SOURCES, 20) and all_show())
        flap(cameras, WARM_UP_LOSSES)
        verdicts.check("flaps: all show pictures after the warm-up", all_show())
        before = state_of(program.pid())
        lost = flap(cameras, WARM_UP_LOSSES + LOSSES) - WARM_UP_LOSSES
        verdicts.check(f"flaps: {LOSSES} connections were lost and made again", lost >= LOSSES and all_show(), f"{lost}")
        # Our own questions to the program take a descriptor for a moment, too.
        until(lambda: all(now <= then for now, then in zip(state_of(program.pid())[:2], before)), 5)
        after = state_of(program.pid())
        for i, what in enumerate(("descriptor", "thread")):
            verdicts.check(f"flaps: no {what} is left", after[i] <= before[i], f"{before[i]} before, {after[i]} after")
        verdicts.check("flaps: no memory is left", after[2] - before[2] <= GROWTH_MB_MAX, f"{before[2]:.1f} MB before, {after[2]:.1f} after")
    finally:
        program.stop()
