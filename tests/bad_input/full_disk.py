"""A disk that fills up under a real hub, then under a real agent: refuses, recovers, loses nothing acknowledged.

    python3 tests/bad_input/full_disk.py FOLDER_WITH_PROGRAMS WORK        (run.sh calls it: root, its own namespaces)

WORK/hub and WORK/agent get a tmpfs of 400 MB each, mounted in run.sh's mount namespace.
"""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import peer
from peer import Peer
from testkit import API, HUB_MQTT, ROUTER, Agent, Hub, Verdicts, until

DISK_MB = 400
PADDING = 2000  # Bytes in each message, so that the log asks for room soon.


def mount(folder):
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "verge-test", str(folder)], check=True)


def fill(folder, leave=0):
    """Takes what is free, but for `leave` bytes, with one file."""
    with open(folder / "ballast", "ab") as file:
        try:
            while True:
                state = os.statvfs(folder)
                room = state.f_bavail * state.f_frsize - leave
                if room <= 0:
                    return
                file.write(bytes(min(room, 1 << 20)))
                file.flush()
        except OSError:
            pass


def make_room(folder):
    (folder / "ballast").unlink(missing_ok=True)


class Talker:
    """Keeps saying the next number until it is acknowledged, over as many connections as that takes."""

    def __init__(self, host, port, identity, key):
        self.where = (host, port, identity, key)
        self.acknowledged = []
        self.link = None
        self.next = 1
        self.refusals = 0
        self.is_stopping = False

    def step(self, seconds=3, padding=PADDING):
        try:
            if self.link is None or self.link.is_closed:
                self.link = Peer(*self.where)
            if self.link.code == 0 and self.link.say(self.next, seconds, padding):
                self.acknowledged.append(self.next)
                self.next += 1
                return True
        except OSError:
            pass
        self.refusals += 1
        if self.link is not None:
            self.link.close()
        self.link = None
        return False

    def steps(self, count):
        return all(self.step() for _ in range(count))

    def run(self):
        while not self.is_stopping:
            # Slow enough that the disk fills up by the ballast alone.
            time.sleep(0.002 if self.step(2) else 0.2)


def is_refused(talker):
    """True once two large messages in a row are refused; a log may have taken some MiB of room ahead."""
    return until(lambda: not talker.step(2, 100_000), 30) and not talker.step(2, 100_000)


def lost(talker, stored):
    return sorted(set(talker.acknowledged) - set(stored))


def once_and_in_order(numbers):
    return numbers == sorted(set(numbers))


def runs_or_says_why(program):
    """Whether it runs, or ended as one without a disk (unavailable, limit); and which, with its last words."""
    is_up = program.is_running()
    detail = f"{'runs' if is_up else program.process.returncode}: {program.last_line()[:200]}"
    return is_up or program.process.returncode in (5, 7), detail


def kill_in_the_middle(program, talker, disk, leaves):
    """Fills and frees the disk while the talker talks, so that its edge is met in the middle of writes, too.

    leaves: what each filling leaves free, bytes. Ends with a full disk and the program killed; returns the talker's thread.
    """
    thread = threading.Thread(target=talker.run, daemon=True)
    thread.start()
    for leave in leaves:
        time.sleep(0.7)
        fill(disk, leave)
        time.sleep(1.5)
        make_room(disk)
    fill(disk)
    time.sleep(1)
    program.stop(signal.SIGKILL)
    return thread


def under_hub(verdicts, programs, work):
    disk = work / "hub"
    mount(disk)
    hub = Hub(programs, disk / "home", work / "hub.log")
    try:
        verdicts.check("hub: starts on a small disk", hub.start_and_wait())
        talker = Talker("127.0.0.1", HUB_MQTT, "d", hub.make_device("d"))
        verdicts.check("hub: acknowledges while there is room", talker.steps(50))

        fill(disk)
        refused = is_refused(talker)
        verdicts.check("hub: with a full disk it acknowledges nothing", refused,
                       f"after {len(talker.acknowledged) - 50} more, for which it had taken room before")
        is_sick = until(lambda: hub.call("GET", "/healthz")[0] == 503, 15)
        verdicts.check("hub: /healthz says what is wrong", is_sick, str(hub.call("GET", "/healthz")[1])[:160])
        status, answer = hub.call("PUT", f"/devices/late?{API}", {
            "deviceId": "late", "status": "enabled", "authentication": {"type": "sas"}})
        verdicts.check("hub: a new device is refused for now, with a reason, or stored", status in (200, 503),
                       f"{status} {str(answer)[:160]}")
        answered = hub.call("GET", f"/devices/d?{API}")
        verdicts.check("hub: it still answers what it knows", answered[0] == 200)
        verdicts.check("hub: it is the same process", hub.is_running())

        make_room(disk)
        begin = time.monotonic()
        verdicts.check("hub: with room again it acknowledges by itself", until(talker.step, 30),
                       f"after {time.monotonic() - begin:.1f} s")
        verdicts.check("hub: /healthz is 200 again", until(hub.is_well, 30))
        verdicts.check("hub: and takes new devices", hub.make_device("later"))
        verdicts.check("hub: messages flow", talker.steps(50))

        thread = kill_in_the_middle(hub, talker, disk, (0, 17 << 20, 4096, 1 << 20, 16 << 20))
        make_room(disk)
        verdicts.check("hub: killed on a full disk it starts again", hub.start_and_wait())
        time.sleep(3)
        talker.is_stopping = True
        thread.join(30)
        verdicts.check("hub: messages flow after it", until(talker.step, 20))
        until(lambda: not lost(talker, hub.numbers("d")), 20)
        stored = hub.numbers("d")
        verdicts.check("hub: nothing acknowledged is lost", not lost(talker, stored),
                       f"{len(talker.acknowledged)} acknowledged, {talker.refusals} refused, {len(stored)} stored, "
                       f"lost {lost(talker, stored)[:5]}")
        verdicts.check("hub: stored once and in order", once_and_in_order(stored) and hub.is_whole("d"))

        fill(disk)
        hub.stop()
        hub.start()
        time.sleep(3)
        verdicts.check("hub: started on a full disk it runs and refuses, or says why it cannot", *runs_or_says_why(hub))
        hub.stop()
        make_room(disk)
        verdicts.check("hub: and starts once there is room", hub.start_and_wait())
        verdicts.check("hub: with all that it had", not lost(talker, hub.numbers("d")))
    finally:
        hub.stop()


def under_agent(verdicts, programs, work):
    disk = work / "agent"
    mount(disk)
    hub = Hub(programs, work / "hub2", work / "hub2.log")
    agent = None
    try:
        hub.start_and_wait()
        agent = Agent(programs, disk / "home", work / "agent.log", hub, hub.make_device("edge", True))
        hub.deploy("edge", peer.manifest())
        agent.start()
        talker = Talker(ROUTER, 8883, "edge/m", until(lambda: hub.module_key("edge", "m"), 30))
        verdicts.check("agent: takes a module's messages", until(talker.step, 30) and talker.steps(49))
        verdicts.check("agent: they reach the hub", until(lambda: len(hub.numbers("edge", "m")) == 50))

        hub.stop()  # From here on the outbox must keep everything.
        verdicts.check("agent: acknowledges while the hub is away", talker.steps(50))
        fill(disk)
        refused = is_refused(talker)
        verdicts.check("agent: with a full disk it acknowledges nothing", refused,
                       f"after {len(talker.acknowledged) - 100} more, for which it had taken room before")
        verdicts.check("agent: it is the same process", agent.is_running())
        make_room(disk)
        begin = time.monotonic()
        verdicts.check("agent: with room again it acknowledges by itself", until(talker.step, 30),
                       f"after {time.monotonic() - begin:.1f} s")

        thread = kill_in_the_middle(agent, talker, disk, (0, 65 << 20, 4096, 1 << 20, 64 << 20))
        agent.start()
        time.sleep(3)
        verdicts.check("agent: killed and started on a full disk it runs, or says why it cannot", *runs_or_says_why(agent))
        agent.stop(signal.SIGKILL)
        make_room(disk)
        agent.start()
        time.sleep(3)
        talker.is_stopping = True
        thread.join(30)
        verdicts.check("agent: messages are taken after it", until(talker.step, 30))
        verdicts.check("hub: is back", hub.start_and_wait())
        begin = time.monotonic()
        until(lambda: not lost(talker, hub.numbers("edge", "m")), 90)
        stored = hub.numbers("edge", "m")
        verdicts.check("agent: nothing acknowledged is lost", not lost(talker, stored),
                       f"{len(talker.acknowledged)} acknowledged, {talker.refusals} refused, {len(stored)} stored "
                       f"{time.monotonic() - begin:.1f} s after the hub's return, lost {lost(talker, stored)[:5]}")
        verdicts.check("agent: every sequence number once, in order", until(lambda: hub.is_whole("edge", "m"), 30))
        firsts = list(dict.fromkeys(stored))
        verdicts.check("agent: what a module said arrives in its order", firsts == sorted(firsts),
                       f"{len(stored) - len(firsts)} came twice (refused, then said again)")
    finally:
        for program in (agent, hub):
            if program is not None:
                program.stop()


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    work = pathlib.Path(sys.argv[2]) / "full"
    work.mkdir()
    verdicts = Verdicts()
    for part in (under_hub, under_agent):
        try:
            part(verdicts, programs, work)
        except Exception as problem:  # A part that breaks off must not hide the other.
            verdicts.check(f"{part.__name__} runs to its end", False, repr(problem))
    if verdicts.failed:
        for log in sorted(work.glob("*.log")):
            print(f"-- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]))
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
