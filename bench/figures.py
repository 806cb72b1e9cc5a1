"""What the benchmarks share: paired ratios with their interval, and how results are printed."""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

RESAMPLES = 4000


def paired_ratio(better, worse):
    """Median of better/worse over the pairs, and the lower end of its 95 % bootstrap interval.

    A neighbour's burst of work falls on one half of a pair now and then; the median does not follow such a pair. The
    same samples always give the same interval.
    """
    ratios = [a / b for a, b in zip(better, worse, strict=True)]
    draw = random.Random(len(ratios))
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return statistics.median(ratios), medians[int(0.025 * RESAMPLES)]


def result(work, ours, unit, peer_name, peer, about):
    """One line of the bench's output. `ours` and `peer` are the samples of each pair; ratio above 1: we are better."""
    is_more_better = unit.endswith("/s") or unit.startswith("%")
    ratio, low = paired_ratio(ours, peer) if is_more_better else paired_ratio(peer, ours)
    return {
        "work": work,
        "ours": round(statistics.median(ours), 3),
        "unit": unit,
        "peer_name": peer_name,
        "peer": round(statistics.median(peer), 3),
        "ratio": round(ratio, 3),
        "ratio_low": round(low, 3),
        "pairs": len(ours),
        "about": about,
    }


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"processor": model, "cores": os.cpu_count(), "kernel": os.uname().release, "load": round(os.getloadavg()[0], 2)}


class Output:
    """Results to the standard output: JSON lines, or a table; progress to the standard error."""

    def __init__(self, is_json):
        self._is_json = is_json
        self._has_head = False

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def show(self, line):
        if self._is_json:
            print(json.dumps(line), flush=True)
            return
        if not self._has_head:
            self._has_head = True
            print(f"{'work':<25} {'ours':>11} {'peer':>11} {'unit':<8} {'peer is':<20} {'ratio':>7} {'low':>7} {'pairs':>5}")
        print(
            f"{line['work']:<25} {line['ours']:>11} {line['peer']:>11} {line['unit']:<8} {line['peer_name']:<20}"
            f" {line['ratio']:>7.3f} {line['ratio_low']:>7.3f} {line['pairs']:>5}",
            flush=True,
        )


class Side:
    """A program of ours or of a peer, on its cores: a command a line in, its answer a JSON line out; waits in between."""

    def __init__(self, command, cores):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self.engine = self._answer()["ready"]

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self._process.args[0]} ended; its message is above")
        return json.loads(line)

    def run(self, work, count):
        self._process.stdin.write(f"{work} {count}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def resident_mb(self):
        return resident_mb(self._process.pid)


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"bench: process {pid} ended before its memory could be read")
