"""What verge and verge-infer say to bad input, and their exit codes (base/result.h).

    python3 tests/bad_input/programs.py FOLDER_WITH_PROGRAMS        (run.sh calls it)

Needs $VERGE_ONNXRUNTIME. Every row is a command, its exit code and what its message must hold.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testkit import Verdicts

INVALID, NOT_FOUND, UNAVAILABLE, CORRUPT = 2, 3, 5, 8

PIPELINE = """purpose: A test.
version: 1
sources:
  pump: {{kind: machine, rate_hz: 4, minutes: 1, paced: false}}
stages:
  - score: {{model: {model}}}
sinks:
  - csv: {{path: out.csv}}
"""
CAMERA = """purpose: A test.
version: 1
sources:
  door: {kind: camera, url: door.avi}
stages:
  - detect: {model: pump}
sinks:
  - csv: {path: out.csv}
"""


def run(programs, folder, *words, environment=None):
    answer = subprocess.run([str(programs / words[0]), *words[1:]], cwd=folder, capture_output=True, text=True, timeout=600,
                            errors="replace", env={**os.environ, "VERGE_HOME": str(folder / "home"), **(environment or {})})
    return answer.returncode, answer.stdout, answer.stderr


class Rows:
    def __init__(self, programs, folder, verdicts):
        self.programs, self.folder, self.verdicts = programs, folder, verdicts

    def expect(self, name, code, parts, *words, environment=None):
        found, _, errors = run(self.programs, self.folder, *words, environment=environment)
        missing = [part for part in parts if part not in errors]
        last = errors.strip().splitlines()[-1] if errors.strip() else ""
        self.verdicts.check(name, found == code and not missing,
                            f"exit {found}: {last[:260]}" + (f"  LACKS {missing}" if missing else ""))


def command_line(rows):
    for name, code, parts, words in (
            ("no command", INVALID, ["--help"], ()),
            ("an unknown command", INVALID, ['no command "devise"', 'did you mean "device"?'], ("devise", "list")),
            ("the beginning of a command", INVALID, ['did you mean "deployment"?'], ("deploy",)),
            ("an unknown option", INVALID, ['"--frobnicate"'], ("--frobnicate",)),
            ("a missing argument", INVALID, ["file is required"], ("train", "telemetry")),
            ("a value out of range", INVALID, ["--window"], ("train", "telemetry", "text.csv", "--out", "o", "--window", "1")),
            ("another output form", INVALID, ["{table,json}"], ("status", "-o", "xml")),
            ("a file that is not there", NOT_FOUND, ["nowhere.csv"], ("train", "telemetry", "nowhere.csv", "--out", "o")),
            ("a solution that is not there", NOT_FOUND, ["nowhere"], ("up", "--solution", "nowhere")),
            ("a pipeline that is not there", NOT_FOUND, ["nowhere.yaml"], ("run", "nowhere.yaml")),
            ("a model that is not there", NOT_FOUND, ["nowhere.onnx", "verge model list"],
             ("model", "import", "nowhere.onnx", "--out", "o")),
            ("a hub that is not there", NOT_FOUND, ["verge up", "--connection"], ("device", "list")),
            ("a hub that does not run", UNAVAILABLE, ["the hub does not answer", "127.0.0.1:1", "verge status"],
             ("device", "list", "--connection", "stopped.json")),
            ("a connection file that is none", CORRUPT, ["broken.json"], ("device", "list", "--connection", "broken.json")),
            ("a manifest that is not there", NOT_FOUND, ["nowhere.json"], ("deployment", "apply", "d", "nowhere.json")),
            ("evidence without a digest", INVALID, ["digest is required"], ("evidence", "get", "door-1", "vision")),
            ("logs without a hub", INVALID, ["--device"], ("logs", "vision"))):
        rows.expect(f"verge: {name}", code, ["verge: ", *parts], "verge", *words)


def pipelines(rows):
    folder = rows.folder
    (folder / "empty.yaml").write_text("")
    for name, code, parts, text in (
            ("a typo in a source's kind", INVALID, ['p.yaml:4:3: there is no source "machin"', 'did you mean "machine"?',
                                                    "Allowed: camera, machine, microphone, mqtt, recording"],
             PIPELINE.format(model="pump").replace("kind: machine", "kind: machin")),
            ("a typo in a stage", INVALID, ['p.yaml:6:5: there is no stage "scor"', "Allowed: access, anomaly, "],
             PIPELINE.format(model="pump").replace("score:", "scor:")),
            ("another blur", INVALID, ['p.yaml:3:11: blur is "persons"', "Allowed: faces, none, people"],
             PIPELINE.format(model="pump").replace("sources:", "privacy: {blur: persons}\nsources:")),
            ("a mask for no camera", INVALID, ['no source is called "door"', "Allowed: pump"],
             PIPELINE.format(model="pump").replace("sources:", "privacy: {mask: {door: [[[0, 0], [1, 0], [1, 1]]]}}\nsources:")),
            ("evidence without an end", INVALID, ["days is 100000; give 0.01 to 3650"],
             PIPELINE.format(model="pump").replace("sources:", "evidence: {days: 100000}\nsources:")),
            ("a masked camera that records", INVALID, ["a masked camera cannot be recorded"],
             "version: 1\nsources:\n  door: {kind: camera, url: 'rtsp://127.0.0.1/1', record: {days: 1}}\n"
             "privacy: {mask: {door: [[[0, 0], [1, 0], [1, 1]]]}}\nsinks:\n  - csv: {path: out.csv}\n"),
            ("a typo in an option", INVALID, ['p.yaml:4:25: machine has no option "rate"', "Allowed: minutes, paced"],
             PIPELINE.format(model="pump").replace("rate_hz", "rate")),
            ("a typo on top", INVALID, ['p.yaml:3:1: unknown key "sorces"', 'did you mean "sources"?'],
             PIPELINE.format(model="pump").replace("sources:", "sorces:")),
            ("a wrong type", INVALID, ["p.yaml:4:25: rate_hz must be a number"],
             PIPELINE.format(model="pump").replace("rate_hz: 4", "rate_hz: fast")),
            ("a value out of range", INVALID, ['source "pump"', "rate_hz is 1000; give 0.1..100"],
             PIPELINE.format(model="pump").replace("rate_hz: 4", "rate_hz: 1000")),
            ("broken YAML", INVALID, ["p.yaml:5:"], PIPELINE.format(model="pump").replace("false}", "false")),
            ("an empty file", INVALID, ["p.yaml:1:1: a pipeline file is a map"], "")):
        (folder / "p.yaml").write_text(text)
        rows.expect(f"pipeline: {name}", code, parts, "verge-infer", "p.yaml", "--metrics", "off")
    (folder / "p.yaml").write_bytes(random.Random(1).randbytes(3000))
    rows.expect("pipeline: a binary file", INVALID, ["p.yaml:"], "verge-infer", "p.yaml", "--metrics", "off")
    rows.expect("pipeline: a file that is not there", NOT_FOUND, ["nowhere.yaml"], "verge-infer", "nowhere.yaml", "--metrics",
                "off")
    os.mkfifo(folder / "fifo")
    (folder / "p.yaml").write_text(PIPELINE.format(model="pump").replace("path: out.csv", "path: fifo, inputs: [pump]").replace(
        "stages:\n  - score: {model: pump}\n", ""))
    rows.expect("pipeline: a result that is no file", INVALID, ['close "csv"', "fifo", "no regular file"], "verge-infer", "p.yaml",
                "--metrics", "off")
    rows.expect("pipeline: an unknown option of the program", INVALID, ['"--frobnicate"', "--help"], "verge-infer",
                "--frobnicate")
    (folder / "p.yaml").write_text(PIPELINE.format(model="pump").replace("score:", "scor:"))
    rows.expect("pipeline: a typo is found before an image is made", INVALID, ['p.yaml:6:5: there is no stage "scor"'], "verge",
                "package", "p.yaml", "--name", "test/p:1")


def models(rows):
    folder = rows.folder
    good = folder / "pump"
    card = json.loads((good / "card.json").read_text())
    whole = (good / "model.onnx").read_bytes()

    def variant(name, model=whole, change=None):
        (folder / name).mkdir()
        if model is not None:
            (folder / name / "model.onnx").write_bytes(model)
        changed = json.loads(json.dumps(card))
        if change:
            change(changed)
        (folder / name / "card.json").write_text(json.dumps(changed))

    variant("cut", whole[:len(whole) // 2])
    variant("flipped", whole[:900] + bytes([whole[900] ^ 0xFF]) + whole[901:])
    variant("gone", None)
    variant("words", b"I am no model.\n" * 50, lambda c: c.pop("digest"))
    variant("hollow", b"", lambda c: c.pop("digest"))
    variant("narrow", whole, lambda c: (c["inputs"][0]["shape"].__setitem__(1, 5), c.__setitem__("labels", c["labels"][:5])))
    variant("misspelt", whole, lambda c: c.__setitem__("labls", c.pop("labels")))
    variant("torn")
    (folder / "torn" / "card.json").write_text('{"version": 1')
    for name, code, parts in (
            ("nowhere", NOT_FOUND, ['stage "score"', '"nowhere"', "there is no card.json"]),
            ("gone", NOT_FOUND, ['the card names "model.onnx", which is not there']),
            ("cut", CORRUPT, ["the card was made for sha256:", "import the model again"]),
            ("flipped", CORRUPT, ["the card was made for sha256:", "import the model again"]),
            ("words", CORRUPT, ["this is no whole ONNX model"]),
            ("hollow", CORRUPT, ["this is no whole ONNX model"]),
            ("narrow", INVALID, ['input "window" is [96,8], the card says [96,5]']),
            ("misspelt", INVALID, ["/labls is not known; allowed here:"]),
            ("torn", INVALID, ["torn/card.json", "line 1"])):
        (folder / "p.yaml").write_text(PIPELINE.format(model=name))
        rows.expect(f"model: {name}", code, ['stage "score"', *parts], "verge-infer", "p.yaml", "--metrics", "off")
    (folder / "p.yaml").write_text(CAMERA)
    rows.expect("model: one for sensors where pictures go", INVALID, ['stage "detect"', "/picture must be there"], "verge-infer",
                "p.yaml", "--metrics", "off")
    (folder / "p.yaml").write_text(PIPELINE.format(model="pump"))
    rows.expect("model: without ONNX Runtime", UNAVAILABLE, ["set VERGE_ONNXRUNTIME", "/nowhere.so"], "verge-infer", "p.yaml",
                "--metrics", "off", environment={"VERGE_ONNXRUNTIME": "/nowhere.so"})
    rows.expect("model import: no ONNX file", CORRUPT, ["model.onnx", "not a valid ONNX file"], "verge", "model", "import",
                "words/model.onnx", "--out", "imported")
    rows.verdicts.check("model import: leaves nothing behind", not (folder / "imported").exists())


def tables(rows):
    folder = rows.folder

    def lines(count, row, header="time,a,b"):
        return header + "\n" + "".join(row(i) + "\n" for i in range(count))

    begin = 1_767_225_600
    for name, because, text in (
            ("empty", "there are no rows", b""),
            ("only a header", "there are no rows", b"time,a,b\n"),
            ("binary", "is not a text table", random.Random(5).randbytes(20000)),
            ("a model", "is not a text table", (folder / "pump" / "model.onnx").read_bytes()),
            ("text only, no time", "no column holds a time", b"name,text\nalice,hello\nbob,world\n"),
            ("text beside the time", "no column with numbers", lines(600, lambda i: f"{begin + i},on,off")),
            ("no time", "no column holds a time", lines(600, lambda i: f"{i},{i % 7},{i % 5}")),
            ("constant columns", "no sensor changes", lines(600, lambda i: f"{begin + i},3,7")),
            ("mostly missing", "no sensor changes", lines(600, lambda i: f"{begin + i},{i % 7 if i % 9 == 0 else ''},")),
            ("too few rows", "too short", lines(50, lambda i: f"{begin + i},{i % 7},{i % 5}")),
            ("one row", "only one row", lines(1, lambda i: f"{begin + i},1,2")),
            ("one time for all", "only one row", lines(600, lambda i: f"{begin},{i % 7},{i % 5}")),
            ("nothing but holes", "too short", lines(600, lambda i: f"{begin + i + i // 20 * 5000},{i % 7},{i % 5}")),
            ("one name twice", 'two columns are called "a"', lines(600, lambda i: f"{begin + i},1,{i % 5}", "time,a,a")),
            ("a short row", "bad.csv:102: 2 cells", lines(600, lambda i: f"{begin + i},1" + (",2" if i != 100 else ""))),
            ("a time that is none", 'bad.csv:102: "yesterday"',
             lines(600, lambda i: f"{begin + i if i != 100 else 'yesterday'},1,2"))):
        (folder / "bad.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        rows.expect(f"train: {name}", INVALID, ["I cannot learn this, because", because], "verge", "train", "telemetry",
                    "bad.csv", "--out", "bad_model")
        rows.verdicts.check(f"train: {name} leaves no model", not (folder / "bad_model" / "model.onnx").exists())


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory(prefix="verge-bad-") as folder:
        folder = pathlib.Path(folder)
        (folder / "record.yaml").write_text("purpose: A test.\nversion: 1\nsources:\n"
                                            "  pump: {kind: machine, rate_hz: 4, paced: false, minutes: 20}\n"
                                            "sinks:\n  - csv: {path: pump.csv, inputs: [pump]}\n")
        (folder / "text.csv").write_text("time,a\n1767225600,1\n")
        (folder / "broken.json").write_text("{broken")
        (folder / "ca.pem").write_text("")
        (folder / "stopped.json").write_text(json.dumps({
            "host": "127.0.0.1", "mqtt_port": 1, "https_port": 1, "http_port": 1, "ca_pem_file": str(folder / "ca.pem"),
            "password_file": str(folder / "none"),
            "connection_string": "HostName=127.0.0.1;SharedAccessKeyName=owner;SharedAccessKey=a2V5"}))
        recorded = run(programs, folder, "verge-infer", "record.yaml", "--metrics", "off")
        verdicts.check("a normal period is recorded", recorded[0] == 0, recorded[2][-200:])
        learned = run(programs, folder, "verge", "train", "telemetry", "pump.csv", "--out", "pump")
        verdicts.check("and learned", learned[0] == 0, learned[2][-200:])
        rows = Rows(programs, folder, verdicts)
        for part in (command_line, pipelines, models, tables):
            part(rows)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
