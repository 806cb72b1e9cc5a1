"""What the outage tests share: the product in network namespaces of its own, its load, and the ledger.

Every namespace has loopback and what is added here, and no way out. Needs root, podman, runc, netavark, iproute2.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import testkit
from containers import python_image
from testkit import Engine, is_alive, kill_now, until

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PROGRAMS_OF_LOAD = [TESTS / "outages" / "load.py", TESTS / "containers" / "module.py", TESTS / "mqtt_packets.py"]


# -- the machine


class Machine:
    """A VERGE_HOME below `work`: started by `verge`, kept running by its supervisor and nobody else."""

    def __init__(self, programs, work, name, namespace):
        self.programs = pathlib.Path(programs).resolve()
        self.home = work / name
        self.namespace = namespace
        self.environment = {**os.environ, "VERGE_HOME": str(self.home)}
        self.environment.pop("VERGE_ENGINE_SOCKET", None)
        self.ledgers = work / "ledger"
        self.ledgers.mkdir(exist_ok=True)
        # The modules are not root.
        self.ledgers.chmod(0o777)

    def verge(self, *arguments):
        return self.namespace.call(self.programs / "verge", *arguments, env=self.environment, timeout=900)

    def check_engine(self):
        machine = json.loads((self.home / "machine.json").read_text())
        if not machine["engine_is_own"]:
            raise RuntimeError(f"an engine of this machine's user answers on {machine['engine_socket']}; it lives outside "
                               "the test's namespace, so end it, or run the test where there is none")
        return Engine(machine["engine_socket"])

    def pid(self, program):
        state = json.loads((self.home / "supervisor.json").read_text())
        pid = (state["supervisor"] if program == "supervisor" else state["children"].get(program, {})).get("pid", 0)
        return pid if pid and is_alive(pid) else 0

    def allow_ledgers(self):
        """Lets modules mount their ledger, and shortens their rest, which is ten seconds and more for real devices."""
        path = self.home / "agent" / "agent.json"
        settings = json.loads(path.read_text())
        settings["allowed"] = ["Binds"]
        settings["restart"] = {"cool_off_s": 1, "cool_off_s_max": 5}
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        before = until(lambda: self.pid("agent"), 20)
        kill_now(before)
        if not until(lambda: self.pid("agent") not in (0, before), 20):
            raise RuntimeError("the supervisor did not start the agent again")

    def device(self):
        return json.loads((self.home / "agent" / "agent.json").read_text())["device"]

    def down(self):
        subprocess.run(self.namespace.command(self.programs / "verge", "down"), env=self.environment,
                       capture_output=True, timeout=600)


def manifest(modules, image, ledgers, rate_hz):
    options = {"HostConfig": {"Binds": [f"{ledgers}:/ledger"], "Memory": 134217728}}
    entry = testkit.module_entry(image, options, {"RATE_HZ": str(rate_hz)})
    return testkit.manifest({name: entry for name in modules})


def push_load(hub):
    """Its name for the engine. Pushes the load's image into the hub's store."""
    size = python_image.push(hub.send, hub.token(), "outages/load", "1", PROGRAMS_OF_LOAD)
    print(f"the load's image: {size >> 10} KiB")
    known = hub.connection()
    return f"{known['host']}:{known['https_port']}/outages/load:1"


# -- the ledger


def acknowledged(ledgers, module):
    """{(run, number)} that the router acknowledged to a module's process, as the process wrote down."""
    numbers = set()
    for path in ledgers.glob(f"{module}-*"):
        if path.suffix == ".quiet":
            continue
        run_number = int(path.name.rsplit("-", 1)[1])
        # The last line may be cut: the process was killed while it wrote.
        numbers.update((run_number, int(line)) for line in path.read_text().split("\n")[:-1] if line)
    return numbers


def is_quiet(ledgers, module):
    """The newest life of the module has nothing open any more."""
    runs = [int(path.name.rsplit("-", 1)[1]) for path in ledgers.glob(f"{module}-*") if path.suffix != ".quiet"]
    return bool(runs) and (ledgers / f"{module}-{max(runs)}.quiet").exists()


def stop_load(ledgers):
    (ledgers / "stop").touch()


def wait_until_all_arrived(hub, device, modules, ledgers, seconds):
    """True once nothing is open in the modules and the hub's history holds still with all acknowledged in it."""
    if not until(lambda: all(is_quiet(ledgers, module) for module in modules), seconds):
        return False
    wanted = sum(len(acknowledged(ledgers, module)) for module in modules)
    counted = {"last": -1, "since": time.monotonic()}

    def holds_still():
        count = sum(line["count"] for line in hub.ledger(device))
        if count != counted["last"]:
            counted.update(last=count, since=time.monotonic())
        return count >= wanted and time.monotonic() - counted["since"] > 3

    return bool(until(holds_still, seconds, 0.5))


def compare(check, hub, device, modules, ledgers):
    """The heart of the tests: what the router acknowledged against what the hub's history holds."""
    rows = []
    for module in modules:
        promised = acknowledged(ledgers, module)
        held = [(body["run"], body["n"]) for body in hub.bodies(device, module)]
        missing = promised - set(held)
        twice = len(held) - len(set(held))
        late, highest = 0, (0, 0)
        for number in held:
            late += number < highest
            highest = max(highest, number)
        lines = [line for line in hub.ledger(device, module) if line["module"] == module]
        holes = sum(line["last"] - line["first"] + 1 - line["count"] for line in lines)
        swapped = sum(line["out_of_order"] for line in lines)
        rows.append([module, len({run_number for run_number, _ in promised}), len(promised), len(held), len(missing), twice,
                     late, len(lines), holes, swapped])
        check(f"{module}: every acknowledged number is in history", promised and not missing, sample(missing))
        check(f"{module}: none is there twice", not twice, sample(number for number in set(held) if held.count(number) > 1)
              if twice else "")
        check(f"{module}: in the order of the sender", not late)
        check(f"{module}: the hub's ledger has no hole and no late one", lines and not holes and not swapped)
    print_table(["module", "lives", "acknowledged", "in history", "missing", "twice", "late", "epochs", "holes",
                 "out of order"], rows)


def sample(numbers):
    first = sorted(numbers)[:5]
    return "" if not first else "for example (run, number) " + " ".join(map(str, first))


def print_table(head, rows):
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))))
    sys.stdout.flush()


def work_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="verge-outage-"))


def remove_folder(work):
    shutil.rmtree(work, ignore_errors=True)
