"""The three pipelines for a while: does any program grow?

    tests/long/soak.sh [--minutes 30] [--programs FOLDER] [--csv FILE]        (makes the network namespace; needs root)

Brings examples/first_light up in a home of its own, takes memory (PSS, its anonymous part, RSS), descriptors and
threads of hub, agent and every verge-infer each 10 s, and judges what comes after the first third: the slopes of RSS and
of its anonymous part by least squares, descriptors and threads. Prints a table and "N passed, N failed"; the samples go
into a CSV file.
"""
import argparse
import csv
import json
import math
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import HubClient, Verdicts, is_whole, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE_S = 10
WARM_UP_SHARE = 1 / 3
SLOPE_KIB_PER_H_MAX = 1024
MODULES = ("audio", "machine", "telemetry", "vision")
SPEAKING = ("audio", "telemetry", "vision")
FIELDS = ("pss_kib", "anonymous_kib", "rss_kib", "descriptors", "threads")


def read(path):
    try:
        return pathlib.Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def find_programs(home):
    """Name -> pid of hub, agent and the modules of this home."""
    state = json.loads(read(home / "supervisor.json") or "{}")
    found = {name: state["children"][name]["pid"] for name in ("hub", "agent") if name in state.get("children", {})}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        if read(folder / "comm").strip() != "verge-infer" or str(home) not in read(folder / "mountinfo"):
            continue
        name = re.search(r"(?:^|\0)IOTEDGE_MODULEID=([^\0]*)", read(folder / "environ"))
        if name:
            found[name[1]] = int(folder.name)
    return found


def sample(pid):
    folder = pathlib.Path("/proc") / str(pid)
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", read(folder / "smaps_rollup"), re.M))
    if "Pss" not in sizes:
        return None
    try:
        return {"pss_kib": int(sizes["Pss"]), "anonymous_kib": int(sizes.get("Pss_Anon", 0)), "rss_kib": int(sizes["Rss"]),
                "descriptors": len(os.listdir(folder / "fd")), "threads": len(os.listdir(folder / "task"))}
    except OSError:
        return None


def slope(points):
    """(KiB an hour, twice its standard error) of [(seconds, KiB)].

    Neighbouring samples are alike, so they count as fewer: n (1 - r) / (1 + r), r their correlation.
    """
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    if count < 6 or xx == 0:
        return 0.0, math.inf
    a = sum((x - mean_x) * (y - mean_y) for x, y in points) / xx
    rest = [y - mean_y - a * (x - mean_x) for x, y in points]
    energy = sum(value * value for value in rest)
    alike = sum(p * q for p, q in zip(rest, rest[1:])) / energy if energy else 0.0
    alike = min(max(alike, 0.0), 0.95)
    effective = max(4.0, count * (1 - alike) / (1 + alike))
    return a * 3600, 2 * math.sqrt(energy / count * effective / (effective - 2) / (xx * effective / count)) * 3600


def stored_by_module(hub):
    """Module -> (messages stored, whether every number is there once and in order), over all devices."""
    found = {}
    for line in hub.ledger():
        count, is_good = found.get(line["module"], (0, True))
        found[line["module"]] = (count + line["count"], is_good and is_whole(line))
    return found


def watch(home, minutes, rows, say):
    begin = time.monotonic()
    pids = {}
    restarts = []
    next_s = 0.0
    while next_s <= minutes * 60:
        time.sleep(max(0.0, begin + next_s - time.monotonic()))
        now_s = time.monotonic() - begin
        found = find_programs(home)
        for name, pid in found.items():
            if pids.get(name, pid) != pid:
                restarts.append(f"{name} at {now_s:.0f} s")
            values = sample(pid)
            if values:
                rows.append({"seconds": round(now_s, 1), "program": name, "pid": pid, **values})
        for name in pids:
            if name not in found:
                restarts.append(f"{name} gone at {now_s:.0f} s")
        pids = found
        if int(next_s) % 300 == 0:
            say(f"{next_s / 60:.0f} min: " + ", ".join(
                f"{row['program']} {row['pss_kib'] / 1024:.1f} MiB" for row in rows if row["seconds"] == round(now_s, 1)))
        next_s += SAMPLE_S
    return restarts


def judge(rows, minutes, verdicts):
    print(f"\n{'program':<10} {'PSS MiB':>8} {'RSS MiB':>8} {'RSS KiB/h':>18} {'anonymous KiB/h':>18} "
          f"{'descriptors':>12} {'threads':>8}")
    level = {}
    for name in sorted({row["program"] for row in rows}):
        late = [row for row in rows if row["program"] == name and row["seconds"] >= minutes * 60 * WARM_UP_SHARE]
        if len(late) < 6:
            verdicts.check(f"{name}: only {len(late)} samples after warm-up", False)
            continue
        resident = slope([(row["seconds"], row["rss_kib"]) for row in late])
        anonymous = slope([(row["seconds"], row["anonymous_kib"]) for row in late])
        last = late[-1]
        spans = {field: (min(row[field] for row in late), max(row[field] for row in late)) for field in FIELDS}
        third = len(late) // 3
        ends = {field: (statistics.median(row[field] for row in late[:third]),
                        statistics.median(row[field] for row in late[-third:])) for field in ("descriptors", "threads")}
        level[name] = (resident, anonymous, ends, spans)
        print(f"{name:<10} {last['pss_kib'] / 1024:>8.1f} {last['rss_kib'] / 1024:>8.1f} {resident[0]:>9.0f} ± {resident[1]:<6.0f} "
              f"{anonymous[0]:>9.0f} ± {anonymous[1]:<6.0f} {'%d..%d' % spans['descriptors']:>12} "
              f"{'%d..%d' % spans['threads']:>8}")
    print()
    for name, (resident, anonymous, ends, spans) in level.items():
        # Not PSS: it moves with neighbours that come and go and share a library. Nor RSS alone: pages of files that the
        # system takes back must not hide what the program takes for itself.
        verdicts.check(f"{name} grows by {resident[0]:.0f} ± {resident[1]:.0f} KiB an hour, "
                       f"{anonymous[0]:.0f} ± {anonymous[1]:.0f} of it its own (limit {SLOPE_KIB_PER_H_MAX})",
                       max(resident[0], anonymous[0]) <= SLOPE_KIB_PER_H_MAX)
        for field in ("descriptors", "threads"):
            begin, end = ends[field]
            verdicts.check(f"{name} keeps its {field} ({begin:.0f}, {end:.0f} at the end; "
                           f"{spans[field][0]}..{spans[field][1]} seen)", begin == end)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--csv", type=pathlib.Path, default=ROOT / "build/logs/soak.csv")
    options = parser.parse_args()
    home = pathlib.Path(os.environ["VERGE_HOME"])
    verge = str(options.programs / "verge")
    verdicts = Verdicts()
    rows = []
    is_over = False
    try:
        started = subprocess.run([verge, "up", "--solution", str(ROOT / "examples/first_light"), "--quiet"], timeout=600)
        verdicts.check("verge up", started.returncode == 0)
        if started.returncode != 0:
            return 1
        until(lambda: set(MODULES) <= set(find_programs(home)), 120, 1)
        missing = {"hub", "agent", *MODULES} - set(find_programs(home))
        verdicts.check(f"hub, agent and {len(MODULES)} modules run", not missing, " ".join(sorted(missing)))
        if missing:
            return 1
        hub = HubClient(home / "hub" / "connection.json")
        before = stored_by_module(hub)
        restarts = watch(home, options.minutes, rows, lambda text: print(f"     {text}", flush=True))
        after = stored_by_module(hub)
        judge(rows, options.minutes, verdicts)
        verdicts.check("nothing restarted", not restarts, "; ".join(restarts[:5]))
        for module in SPEAKING:
            count, is_good = after.get(module, (0, False))
            said = count - before.get(module, (0, True))[0]
            verdicts.check(f"{module} sent {said} messages meanwhile, each stored once and in order", said > 0 and is_good)
        is_over = True
    finally:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, ("seconds", "program", "pid", *FIELDS), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        down = subprocess.run([verge, "down"], timeout=180)
        verdicts.check("verge down", down.returncode == 0)
        verdicts.check("the soak ran to its end", is_over)
        print(f"samples: {options.csv}")
        code = verdicts.finish()
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    sys.exit(main())
