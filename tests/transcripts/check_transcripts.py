"""Recordings become reviewed transcripts by the words of docs/transcripts.md.

    check_transcripts.py FOLDER_WITH_PROGRAMS [--screenshots DIR]
"""
import array
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import Verdicts  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ["VERGE_CACHE"])
BECKETT = ["ever tried", "ever failed", "no matter", "try again", "fail again", "fail better"]


def blocks(section):
    """The shell blocks of a section of the guide."""
    text = (ROOT / "docs" / "transcripts.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def quieter(source, target):
    """The same recording at half its level, as from twice as far."""
    with wave.open(str(source)) as read, wave.open(str(target), "wb") as write:
        write.setparams(read.getparams())
        samples = array.array("h", read.readframes(read.getnframes()))
        write.writeframes(array.array("h", [sample // 2 for sample in samples]).tobytes())


class Transcripts:
    def __init__(self, programs, folder, options):
        self.folder, self.options, self.verdicts = folder, options, Verdicts()
        self.environment = {**os.environ, "VERGE_HOME": str(folder / "home"), "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, *words, shell=None):
        return subprocess.run(shell or words, shell=shell is not None, cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=300)

    def json(self, *words):
        done = self.run("verge", "data", *words, "-o", "json")
        return json.loads(done.stdout) if done.stdout else {"error": done.stderr}

    def clips(self, dataset="datasets/notes"):
        """By media; the last line counts, as the format says."""
        lines = (self.folder / dataset / "labels.jsonl").read_text().splitlines()
        return {clip["media"]: clip for clip in map(json.loads, lines)}

    def record(self):
        """Monday as it was recorded, Tuesday from farther away."""
        for day in ("monday", "tuesday"):
            (self.folder / "recordings" / day).mkdir(parents=True)
        shutil.copy(CACHE / "media/speech/beckett.wav", self.folder / "recordings/monday")
        for voice in sorted((CACHE / "media/voices").glob("*_*.wav")):
            shutil.copy(voice, self.folder / "recordings/monday")
            quieter(voice, self.folder / "recordings/tuesday" / voice.name)

    def transcribe(self):
        words = blocks("Transcribe")[0].splitlines()
        killed = self.kill_midway(words[0])
        before = self.clips()
        done = self.run(shell=words[0])
        after = self.clips()
        self.verdicts.check("transcribing goes on after a kill", killed and done.returncode == 0 and len(after) == 14
                            and all(after[media] == clip for media, clip in before.items()),
                            f"{len(before)} clips before, {len(after)} after; {done.stderr[-300:]}")
        self.verdicts.check("the kill came in the middle", 0 < len(before) < 14, f"{len(before)} clips")
        done = self.run(shell=words[1])
        self.verdicts.check("a second folder is added", done.returncode == 0 and len(self.clips()) == 22, done.stderr[-300:])
        again = self.json("transcribe", "recordings/monday", "--out", "datasets/notes")
        self.verdicts.check("what is finished is known", again.get("recordings_known") == 9 and again.get("clips_new") == 0, str(again))
        clip = next(iter(self.clips().values()))
        self.verdicts.check("every word has its confidence", [word["word"] for word in clip["words"]] == clip["heard"].split()
                            and all(0 < word["confidence"] <= 1 for word in clip["words"]), str(clip))
        (self.folder / "broken.wav").write_bytes(b"RIFF and nothing else")
        broken = self.run("verge", "data", "transcribe", "broken.wav", "--out", "datasets/broken")
        self.verdicts.check("a broken recording is named", broken.returncode != 0 and "broken.wav" in broken.stderr, broken.stderr)

    def kill_midway(self, words):
        program = subprocess.Popen(words.replace("--threads 2", "--threads 1").split(), cwd=self.folder, env=self.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        labels = self.folder / "datasets/notes/labels.jsonl"
        for _ in range(6000):
            if program.poll() is not None:
                return False
            if labels.exists() and labels.read_text().count("\n") >= 3:
                program.kill()
                return program.wait() == -signal.SIGKILL
            time.sleep(0.005)
        return False

    def said(self):
        """What was said in each clip."""
        beckett, said = iter(BECKETT), {}
        for media, clip in sorted(self.clips().items(), key=lambda item: item[1].get("begin_s", 0)):
            name = pathlib.Path(clip["source"]).stem
            said[media] = next(beckett) if name == "beckett" else name.lower().replace("_", " ")
        return said

    def review(self):
        said = self.said()
        (self.folder / "truth.json").write_text(json.dumps(said))
        server = subprocess.Popen(["verge", "data", "review", "datasets/notes", "-o", "json"], cwd=self.folder, env=self.environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            line = server.stdout.readline()
            if not line:
                break
            text += line
        other = self.run("verge", "data", "split", "datasets/notes")
        self.verdicts.check("two programs do not change a dataset at once", other.returncode == 4 and "another program" in other.stderr, other.stderr)
        driven = subprocess.run(["node", ROOT / "tests/browser/review.mjs", json.loads(text)["address"], self.folder / "truth.json", *self.options],
                                capture_output=True, text=True, timeout=300)
        # No ending in good order: what was called saved is on disk.
        server.kill()
        server.wait()
        for line in driven.stdout.splitlines():
            if line[:4] in ("pass", "FAIL"):
                self.verdicts.check(line[6:], line.startswith("pass"))
        self.verdicts.check("the browser's driver ends well", driven.returncode == 0, driven.stderr[-400:])
        clips = self.clips()
        spoken = {media: " ".join(re.findall(r"[a-z']+", clip["text"].lower())) for media, clip in clips.items()}
        self.verdicts.check("after a kill of the server every review is there", spoken == said and all(clip.get("reviewed") for clip in clips.values()),
                            str([(media, spoken[media]) for media in said if spoken[media] != said[media]]))

    def measure(self):
        for line in blocks("Divide, record, measure")[0].splitlines():
            done = self.run(shell=line)
            if not self.verdicts.check(line.split(" --")[0], done.returncode == 0, done.stderr[-400:]):
                return
        clips = self.clips()
        sides = {}
        for clip in clips.values():
            sides.setdefault(clip["speaker"], set()).add(clip["split"])
        self.verdicts.check("no speaker is on both sides", all(len(side) == 1 for side in sides.values()) and len(sides) == 2, str(sides))
        report = json.loads((self.folder / "reports/notes/report.json").read_text())
        held = report["held_out"]
        self.verdicts.check("corrections of one speaker help the other", held["before"]["errors"] > held["after"]["errors"], json.dumps(held))
        page = (self.folder / "reports/notes/report.html").read_text()
        self.verdicts.check("the report is a page of its own", "Word errors" in page and "http" not in page.replace("http://www.w3.org", ""), page[:300])
        self.verdicts.check("phrases and models are there", all((self.folder / "reports/notes" / name).stat().st_size
                                                               for name in ("phrases.txt", "words.arpa", "corrections.json")))
        version = self.json("versions", "datasets/notes")[0]
        self.verdicts.check("the version is recorded", version["is_now"] and version["reviewed"] == 22, str(version))
        changed = self.json("versions", "datasets/notes", "--diff", version["version"][7:15])
        self.verdicts.check("nothing differs from it", changed == [], str(changed))

    def use(self):
        """The guide's pipeline: the recording that is always misheard, with what was learned from another speaker."""
        text = (ROOT / "docs" / "transcripts.md").read_text().split("## Use what was learned\n")[1]
        (self.folder / "heard.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.S)[0])
        (self.folder / "models").mkdir()
        (self.folder / "models/voice").symlink_to(CACHE / "models/silero-vad")
        (self.folder / "models/speech").symlink_to(CACHE / "models/moonshine-tiny")
        done = self.run("verge-infer", "heard.yaml", "--metrics", "off")
        events = [json.loads(line) for line in (self.folder / "heard.jsonl").read_text().splitlines()] if done.returncode == 0 else []
        self.verdicts.check("a pipeline corrects what was corrected before", len(events) == 1 and "rear" in events[0]["label"].lower()
                            and "rear" not in events[0].get("extension", {}).get("heard", "rear").lower(), f"{events} {done.stderr[-300:]}")

    def exchange(self):
        done = self.run(shell="set -e\n" + blocks("Exchange")[0])
        if not self.verdicts.check("the guide's exchange", done.returncode == 0, done.stderr[-400:]):
            return
        texts = lambda dataset: sorted(" ".join(re.findall(r"[a-z']+", clip["text"].lower())) for clip in self.clips(dataset).values())
        self.verdicts.check("LibriSpeech comes back with the same words", texts("datasets/again") == texts("datasets/notes"))
        back = self.json("import", "exchange/cv/validated.tsv", "--out", "datasets/cv")
        self.verdicts.check("so does Common Voice, with speakers", texts("datasets/cv") == texts("datasets/notes")
                            and {clip["speaker"] for clip in self.clips("datasets/cv").values()} == {"anna", "ben"}, str(back))
        turns = next((self.folder / "exchange/turns").glob("*.rttm"))
        turns.write_text(turns.read_text().replace("> ben <", "> dora <"))
        named = self.json("import", str(turns), "--out", "datasets/notes")
        speakers = {media: clip["speaker"] for media, clip in self.clips().items()}
        self.verdicts.check("RTTM names speakers", (named.get("clips_new"), named.get("clips_known")) == (8, 14)
                            and set(speakers.values()) == {"anna", "dora"}, str(named))

    def refuse(self):
        (self.folder / "bad.jsonl").write_text('{"media": "recordings/monday/beckett.wav", "text": "x"}\n{"media": 7}\n')
        (self.folder / "gone.jsonl").write_text('{"media": "nowhere.wav", "text": "x"}\n')
        for name, code, part, words in (
                ("a list with a mistake", 2, "bad.jsonl:2", ("import", "bad.jsonl", "--out", "datasets/bad")),
                ("a recording that is not there", 3, "nowhere.wav", ("import", "gone.jsonl", "--out", "datasets/gone")),
                ("a folder without recordings", 3, "no recording", ("transcribe", "home2", "--out", "datasets/none")),
                ("a folder that is no dataset", 3, "no dataset.yaml", ("show", "recordings")),
                ("an export over something", 4, "something is there", ("export", "datasets/notes", "--out", "recordings")),
                ("a report without a split", 2, "verge data split", ("report", "datasets/again", "--out", "reports/again"))):
            (self.folder / "home2").mkdir(exist_ok=True)
            done = self.run("verge", "data", *words)
            self.verdicts.check(f"{name} is refused", done.returncode == code and part in done.stderr, f"{done.returncode} {done.stderr[-300:]}")
        self.verdicts.check("a mistaken list makes no dataset", not (self.folder / "datasets/bad").exists())


def main():
    programs, options = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="verge-transcripts-") as folder:
        work = Transcripts(programs, pathlib.Path(folder), options)
        for step in (work.record, work.transcribe, work.review, work.measure, work.use, work.exchange, work.refuse):
            begin = time.monotonic()
            step()
            print(f"      ({step.__name__}: {time.monotonic() - begin:.1f} s)")
    return work.verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
