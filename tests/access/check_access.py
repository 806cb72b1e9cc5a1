"""Enrols a visitor by the words of docs/access.md, and looks at a door with him, with his photograph, and after he was forgotten.

    check_access.py FOLDER_WITH_PROGRAMS
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import Verdicts  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "access.md").read_text()
NAME = "Eileen Collins"


class Door:
    def __init__(self, programs, folder):
        self.folder, self.verdicts = folder, Verdicts()
        self.environment = {**os.environ, "VERGE_HOME": str(folder / "home"), "PATH": f"{programs}:{os.environ['PATH']}", "TZ": "UTC"}
        self.portrait = pathlib.Path(os.environ["VERGE_CACHE"]) / "media/portrait/astronaut.png"

    def run(self, *words, shell=None):
        return subprocess.run(shell or words, shell=shell is not None, cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=900)

    def check(self, what, is_right, why=""):
        return self.verdicts.check(what, is_right, why)

    def make_pictures(self):
        maker = ROOT / "examples" / "access_control" / "make_visitor.py"
        making = [subprocess.Popen([sys.executable, maker, self.portrait, self.folder / name, *more])
                  for name, more in (("pictures", []), ("photograph", ["--photograph"]))]
        made = [each.wait(timeout=900) == 0 for each in making]
        (self.folder / "still").mkdir()
        for at in range(5):
            shutil.copy(self.portrait, self.folder / "still" / f"{at}.png")
        return self.check("a visitor is made of a portrait", all(made))

    def watch(self, pictures, gallery="people", **options):
        """The events of the guide's pipeline on a folder of pictures."""
        pipeline = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)[0]
        more = "".join(f", {key}: {value}" for key, value in options.items() if key != "threshold")
        pipeline = pipeline.replace("threshold: 0.65", f"threshold: {options.get('threshold', 0.65)}").replace("url: visitor", f"url: {pictures}, pace: false").replace("gallery: people", f"gallery: {gallery}{more}")
        (self.folder / "door.yaml").write_text(pipeline)
        (self.folder / "events.jsonl").unlink(missing_ok=True)
        done = self.run("verge-infer", "door.yaml", "--metrics", "off")
        if not self.check(f"the pipeline runs on {pictures} {options}", done.returncode == 0, done.stderr[-400:]):
            return []
        lines = (self.folder / "events.jsonl").read_text().splitlines() if (self.folder / "events.jsonl").exists() else []
        self.check("no event is large enough to hold a face", all(len(line) < 2000 for line in lines))
        return [json.loads(line) for line in lines]

    @staticmethod
    def told(events):
        return [(event["type"], event.get("label"), event.get("extension", {}).get("reason")) for event in events]

    def enrol(self):
        nobody = self.watch("pictures")
        self.check("nobody is enrolled, and it says so", self.told(nobody) == [("access.denied", "face", "nobody_enrolled")],
                   json.dumps(nobody)[:600])
        words = re.findall(r"```sh\n(.*?)```", GUIDE, re.S)[0]
        done = self.run(shell=words)
        self.check("the guide's commands enrol and judge", done.returncode == 0 and "is enrolled with" in done.stdout
                   and "independent of each other" in done.stdout, done.stdout[-900:] + done.stderr[-600:])
        known = self.watch("pictures")
        self.check("who is enrolled may come in, told once", self.told(known) == [("access.granted", NAME, None)], json.dumps(known)[:600])
        self.check("with a similarity above the threshold", bool(known) and known[0]["score"] > 0.9, json.dumps(known)[:300])

    def refuse(self):
        done = self.run("verge", "access", "enrol", "Somebody", "still", "--gallery", "people")
        self.check("one picture five times is not several", done.returncode == 2 and "different looks" in done.stderr, done.stderr[-400:])
        done = self.run("verge", "access", "enrol", NAME, "pictures", "--gallery", "people")
        self.check("a name is taken once", done.returncode == 4 and "enrolled already" in done.stderr, done.stderr[-300:])
        done = self.run("verge", "access", "enrol", "Another Name", "pictures", "--gallery", "people")
        self.check("a face is enrolled under one name", done.returncode == 4 and f'enrolled already as "{NAME}"' in done.stderr
                   and "alike" in done.stderr, done.stderr[-400:])
        self.check_twins()
        done = self.run("verge", "access", "check", "--gallery", "people", "--false-accept", "0.01")
        self.check("a tighter promise than the pairs support is refused", done.returncode == 2 and "enrol 598 people" in done.stderr,
                   f"{done.returncode} {done.stderr[-400:]}")
        done = self.run("verge", "access", "list", "--gallery", "nowhere")
        self.check("a gallery that is not there is told", done.returncode == 3, done.stderr[-300:])
        shut = self.watch("pictures", false_accept=0.01)
        self.check("and keeps the door shut", self.told(shut) == [("access.denied", "face", "promise_not_supported")], json.dumps(shut)[:600])
        strict = self.watch("pictures", threshold=0.999)
        self.check("who is not alike enough is unknown", self.told(strict) == [("access.denied", "face", "unknown")], json.dumps(strict)[:600])
        done = self.run("verge", "access", "enrol", NAME, "pictures", "--gallery", "night", "--when", "hour >= 24")
        self.check("somebody is enrolled for other hours", done.returncode == 0, done.stderr[-300:])
        late = self.watch("pictures", gallery="night")
        self.check("and does not come in now", self.told(late) == [("access.denied", NAME, "outside_hours")], json.dumps(late)[:600])

    def check_twins(self):
        done = self.run("verge", "access", "enrol", "Another Name", "pictures", "--gallery", "people", "--also")
        self.check("unless it is said that they are two", done.returncode == 0, done.stderr[-300:])
        unsure = self.watch("pictures")
        self.check("whom the door does not tell apart", self.told(unsure) == [("access.denied", "face", "unsure")], json.dumps(unsure)[:600])
        done = self.run("verge", "access", "remove", "Another Name", "--gallery", "people", "-o", "json")
        self.check("who is removed is told as JSON", done.returncode == 0 and json.loads(done.stdout) == {"removed": "Another Name"},
                   done.stdout + done.stderr[-300:])

    def hold_up_a_photograph(self):
        events = self.watch("photograph", liveness="turn", turn_s=2.5)
        kinds = [kind for kind, _, _ in self.told(events)]
        self.check("somebody who is alike is asked to turn his head", kinds[:1] == ["access.challenge"]
                   and events[0]["extension"]["side"] in ("left", "right"), json.dumps(events)[:600])
        self.check("a photograph turned by up to 40 degrees to both sides stays outside", "access.granted" not in kinds and len(kinds) == 2
                   and events[1]["extension"]["reason"] in ("not_live", "moves_like_a_picture"), json.dumps(events)[:900])
        self.check("without the challenge it would come in", self.told(self.watch("photograph"))[:1] == [("access.granted", NAME, None)])

    def look_at_the_bytes(self):
        files = [*(self.folder / "people").iterdir(), self.folder / "people.keys"]
        content = b"".join(file.read_bytes() for file in files)
        self.check("one record and a keyring", len(files) == 2 and os.stat(self.folder / "people.keys").st_mode & 0o777 == 0o600, str(files))
        self.check("no name, no word, no number lies open", b"Eileen" not in content and b"sha256" not in content and b"looks" not in content)
        record = (self.folder / "people").iterdir().__next__().read_bytes()
        self.check("sealed bytes are like noise", len(zlib.compress(record, 9)) > 0.99 * len(record))
        return files[0], record

    def forget(self):
        path, record = self.look_at_the_bytes()
        done = self.run("verge", "access", "remove", NAME, "--gallery", "people")
        self.check("somebody is forgotten", done.returncode == 0 and not path.exists(), done.stderr[-300:])
        done = self.run("verge", "access", "list", "--gallery", "people", "-o", "json")
        self.check("and not listed", json.loads(done.stdout) == [], done.stdout)
        gone = self.watch("pictures")
        self.check("and does not come in", self.told(gone) == [("access.denied", "face", "nobody_enrolled")], json.dumps(gone)[:600])
        path.write_bytes(record)
        done = self.run("verge", "access", "list", "--gallery", "people")
        self.check("the old record, found again, cannot be read", done.returncode == 8 and "has no key for it" in done.stderr,
                   f"{done.returncode} {done.stderr[-300:]}")
        path.unlink()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="verge-access-"))
    try:
        door = Door(pathlib.Path(sys.argv[1]), folder)
        imported = [door.run("verge", "model", "import", name, "--out", f"models/{name}").returncode == 0 for name in ("blazeface", "faceres")]
        if door.make_pictures() and door.check("the face models are imported", all(imported)):
            door.enrol()
            door.refuse()
            door.hold_up_a_photograph()
            door.forget()
        sys.exit(door.verdicts.finish())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
