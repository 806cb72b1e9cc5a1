#!/usr/bin/env python3
"""verge-infer with microphones that are real senders on loopback, what happens when they fail, and `verge microphone`.

    tests/microphones/check_microphones.py FOLDER_WITH_PROGRAMS        (run.sh calls it, in a namespace without a way out)
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from microphones import RATE, SECOND, FileServer, Sender, SoundCamera, StreamServer  # noqa: E402
from testkit import Program, Verdicts, run, until  # noqa: E402

METRICS = "127.0.0.1:19610"
SECRET, TOKEN = "p@ss/w:rd #1", "a-token-of-20-signs!"
BACK_S_MAX = 10.0  # From the return to the next sample, on a slow machine.
SOURCES = {
    "camera": "address: 'rtsp://guard:${MIC_PASSWORD}@127.0.0.1:8701/door'",
    "camera_udp": "address: 'rtsp://127.0.0.1:8702/door', transport: udp",
    "refused": "address: 'rtsp://127.0.0.1:8703/door'",
    "frozen": "address: 'rtsp://127.0.0.1:8704/door', silence_s: 1",
    "radio": "address: 'http://127.0.0.1:8705/live.mp3'",
    "pulled": "address: 'tcp://127.0.0.1:8706'",
    "pushed": "address: 'tcp://127.0.0.1:8707', listen: true, token: '${MIC_TOKEN}', silence_s: 1",
    "datagrams": "address: 'udp://127.0.0.1:8708'",
    "rtp": "address: 'udp://127.0.0.1:8709', packets: rtp",
    "absent": "address: 'tcp://127.0.0.1:8799'",
    "no_card": "address: 'alsa:hw:7,0'",
}
STEADY = ["camera", "camera_udp", "radio", "datagrams", "rtp"]
LOSSY = ["camera_udp", "rtp"]  # Every twentieth packet is lost.
SECRETS = {"MIC_PASSWORD": SECRET, "MIC_TOKEN": TOKEN}


class Site:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        run("ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=1000:duration=4:sample_rate=44100", "-ac", "2",
            "-b:a", "64k", folder / "live.mp3")
        self.far = {"camera": SoundCamera(8701, user="guard", password=SECRET), "camera_udp": SoundCamera(8702, lose_every=20),
                    "refused": SoundCamera(8703), "frozen": SoundCamera(8704), "radio": FileServer(8705, folder / "live.mp3", 4),
                    "pulled": StreamServer(8706)}
        self.near = {"pushed": Sender(8707, "tcp", TOKEN), "datagrams": Sender(8708, "udp"), "rtp": Sender(8709, "rtp", lose_every=20)}
        pipeline = "purpose: Microphones that misbehave.\nversion: 1\nsources:\n"
        pipeline += "".join(f"  {name}: {{kind: microphone, {options}}}\n" for name, options in SOURCES.items())
        (folder / "sound.yaml").write_text(pipeline + "sinks:\n  - stdout: {}\n")
        self.program = Program([programs / "verge-infer", folder / "sound.yaml", "--metrics", METRICS], folder / "infer.log", SECRETS)

    def metrics(self):
        """{"received": {"rtp": 17, …}, "reconnects": …, "gaps": …}"""
        text = urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5).read().decode()
        found = {}
        for name, labels, value in re.findall(r"^verge_microphone_(\w+)\{(.*?)\} (\S+)$", text, re.M):
            labels = dict(re.findall(r'(\w+)="(.*?)"', labels))
            found.setdefault(labels.get("result") or name.removesuffix("_total"), {})[labels["stream"]] = float(value)
        return found

    def received(self, stream):
        return self.metrics().get("received", {}).get(stream, 0)

    def log(self):
        return self.program.log.read_text(errors="replace")


def check_steady(site, verdicts):
    names = [*STEADY, "refused", "frozen", "pulled", "pushed"]
    heard = until(lambda: all(site.received(name) > 0 for name in names), 15)
    verdicts.check("all are heard", heard, "" if heard else str({name: site.received(name) for name in names}))
    begin, before = time.monotonic(), site.metrics()
    time.sleep(4)
    seconds, after = time.monotonic() - begin, site.metrics()
    for name in STEADY:
        rate = 44_100 if name == "radio" else RATE * (0.95 if name in LOSSY else 1)
        came = (after["received"][name] - before["received"][name]) / seconds
        verdicts.check(f"{name}: comes at its rate", abs(came - rate) < 0.1 * rate, f"{came:.0f} of {rate:.0f} a second")
    for name in LOSSY:
        missing, filled, lost = after["missing"].get(name, 0), after["filled"].get(name, 0), after["received"][name] / 19
        verdicts.check(f"{name}: what was lost is counted and filled", abs(missing - lost) <= 640 and missing == filled,
                       f"{missing:.0f} of about {lost:.0f}")
    exact = after["missing"].get("rtp", 0)
    verdicts.check("rtp: exactly", exact % 320 == 0, f"{exact:.0f}")
    clean = [name for name in ("camera", "datagrams") if after["missing"].get(name, 0) > 0]
    verdicts.check("nothing is missing where nothing was lost", not clean, str(clean))


def check_returns(site, verdicts):
    """Each is lost in its own way and comes back."""
    def returns(name, fail, wait_s):
        before = site.metrics()
        fail()
        time.sleep(wait_s)
        begin, count = time.monotonic(), site.received(name)
        back = until(lambda: site.received(name) > count + RATE / 4, BACK_S_MAX / 4)
        took = time.monotonic() - begin
        after = site.metrics()
        verdicts.check(f"{name}: is back", back and took < BACK_S_MAX, f"after {took:.1f} s")
        verdicts.check(f"{name}: the hole is counted", after["gaps"].get(name, 0) > before["gaps"].get(name, 0)
                       and after["missing"][name] - before["missing"].get(name, 0) > RATE * wait_s / 2,
                       f"{after['missing'][name] - before['missing'].get(name, 0):.0f} samples")

    def pause():
        site.near["pushed"].is_paused = True

    returns("refused", lambda: site.far["refused"].refuse(2), 2)
    returns("frozen", lambda: site.far["frozen"].freeze(2.5), 2.5)
    returns("pulled", lambda: site.far["pulled"].refuse(1.5), 1.5)
    pause()
    time.sleep(2)
    site.near["pushed"].is_paused = False
    count = site.received("pushed")
    verdicts.check("pushed: the next sender is heard", until(lambda: site.received("pushed") > count + RATE / 4, 5))
    log = site.log()
    verdicts.check("absent: says what happens", "microphone tcp://127.0.0.1:8799: connect: " in log)
    verdicts.check("no_card: says what happens", "microphone alsa:hw:7,0: open: " in log or "open ALSA" in log)
    verdicts.check("secrets are in no log", SECRET not in log and TOKEN not in log and "p%40ss" not in log)


def verge(site, *words, environment=None):
    return subprocess.run([site.programs / "verge", "microphone", *words], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **SECRETS, **(environment or {})})


def check_command(site, verdicts):
    """Sound cards are ALSA's own plug-ins here."""
    (site.folder / "tone.raw").write_bytes(b"".join(SECOND["<"]) * 3)
    (site.folder / "silence.raw").write_bytes(bytes(2 * RATE * 3))
    rows = "".join(f'pcm.{name} {{ type file slave.pcm null file /dev/null infile "{site.folder}/{name}.raw" format raw\n'
                   f'  hint {{ show on description "A {name} from a file" }} }}\n' for name in ("tone", "silence"))
    (site.folder / "asoundrc").write_text("pcm.null { type null }\nctl.null { type null }\n" + rows)
    cards = {"ALSA_CONFIG_PATH": str(site.folder / "asoundrc")}

    def checked(*words, environment=None):
        done = verge(site, "check", *words, "--seconds", "1", "-o", "json", environment=environment)
        return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr}

    shape = ["--device-rate", "16000", "--channels", "1", "--format", "s16le"]
    found = checked("alsa:tone", *shape, environment=cards)
    verdicts.check("check: a sound card", found.get("rate_hz") == RATE and abs(found["level_db"] + 9) < 0.5, str(found))
    found = checked("alsa:silence", *shape, environment=cards)
    verdicts.check("check: a dead one", found.get("verdict") == "dead" and "mute" in found["advice"], str(found))
    found = checked("rtsp://guard:${MIC_PASSWORD}@127.0.0.1:8701/door")
    verdicts.check("check: a camera", found.get("sound", "").startswith("pcm_s16be") and abs(found["level_db"] + 9) < 0.5, str(found))
    found = checked("http://127.0.0.1:8705/live.mp3")
    verdicts.check("check: an internet stream", found.get("rate_hz") == 44_100 and "mp3" in found["sound"], str(found))
    done = verge(site, "list", "-o", "json", environment=cards)
    addresses = [row["address"] for row in json.loads(done.stdout or "[]")]
    verdicts.check("list: what ALSA has", "alsa:tone" in addresses, f"{addresses} {done.stderr}")
    rows = {("check", "rtsp://guard:hush@127.0.0.1/"): "the password stands in the command line",
            ("check", "rtsp://guard:wrong@127.0.0.1:8701/".replace("wrong", "${MIC_TOKEN}")): "check microphone rtsp://***@127.0.0.1:8701/",
            ("check", "tcp://0.0.0.0:9000", "--listen"): "give a token", ("check", "ftp://a/b"): "its scheme is unknown",
            ("check", "alsa:hw:7,0"): "check microphone alsa:hw:7,0: "}
    for words, said in rows.items():
        done = verge(site, *words)
        verdicts.check(f"{' '.join(words)}: is refused", done.returncode != 0 and said in done.stderr, done.stderr.strip())


def check_guide(site, verdicts):
    """The words of docs/microphones.md: its pipeline is sound, and what its RTP line sends is heard."""
    guide = (pathlib.Path(__file__).resolve().parents[2] / "docs/microphones.md").read_text()
    (site.folder / "guide.yaml").write_text(re.search(r"```yaml\n(.*?)```", guide, re.S).group(1))
    done = subprocess.run([site.programs / "verge-infer", "--check", "--pipeline", site.folder / "guide.yaml"], capture_output=True,
                          text=True, env={**os.environ, "CAMERA_PASSWORD": SECRET})
    verdicts.check("guide: its pipeline is sound", done.returncode == 0, done.stderr)
    run("ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=1000:duration=30", site.folder / "door.wav")
    words = next(line for line in guide.splitlines() if line.startswith("ffmpeg -re")).split()
    sender = Program([*words[:1], "-v", "error", "-nostdin", *words[1:]], site.folder / "ffmpeg.log")
    sender.words[sender.words.index("door.wav")] = str(site.folder / "door.wav")
    sender.start()
    try:
        done = verge(site, "check", "udp://127.0.0.1:5004", "--packets", "rtp", "--seconds", "2", "-o", "json")
    finally:
        sender.stop()
    found = json.loads(done.stdout or "{}")
    verdicts.check("guide: its RTP is heard", found.get("missing") == 0 and abs(found["level_db"] + 21) < 1, f"{found} {done.stderr}")


def check_words(site, verdicts):
    """A real voice as RTP becomes text: the blocks are what stages take, in order and whole."""
    cache = pathlib.Path(os.environ["VERGE_CACHE"])
    (site.folder / "words.yaml").write_text(
        "purpose: What is said.\nversion: 1\nsources:\n  desk: {kind: microphone, address: 'udp://127.0.0.1:5006', packets: rtp, "
        f"device_rate_hz: 44100, channels: 2}}\nstages:\n  - voice: {{model: '{cache}/models/silero-vad/silero_vad.onnx'}}\n"
        f"  - speech: {{model: '{cache}/models/moonshine-tiny'}}\nsinks:\n  - stdout: {{}}\n")
    program = Program([site.programs / "verge-infer", site.folder / "words.yaml", "--metrics", METRICS], site.folder / "words.log")
    voice = Program(["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", cache / "media/speech/beckett.wav", "-af", "apad=pad_dur=3", "-f",
                     "rtp", "-c:a", "pcm_s16be", "-ac", "2", "-ar", "44100", "-payload_type", "97", "rtp://127.0.0.1:5006"],
                    site.folder / "voice.log")
    said = lambda: re.sub(r"[^a-z ]", "", program.log.read_text(errors="replace").lower())
    program.start()
    try:
        until(lambda: "microphone udp" in program.log.read_text(), 8)  # It listens, and nobody has spoken yet.
        voice.start()
        heard = until(lambda: "fail better" in said() and "ever tried" in said(), 25)
        verdicts.check("a voice over RTP becomes text", heard, "" if heard else program.log.read_text(errors="replace")[-2000:])
    finally:
        voice.stop()
        program.stop()


def check_card(site, verdicts):
    """In a pipeline, for a moment: a card from a file is as fast as the processor."""
    (site.folder / "card.yaml").write_text(
        "purpose: A sound card.\nversion: 1\nsources:\n  card: {kind: microphone, address: 'alsa:tone', device_rate_hz: 16000, "
        "channels: 1, format: s16le}\nsinks:\n  - stdout: {}\n")
    program = Program([site.programs / "verge-infer", site.folder / "card.yaml", "--metrics", METRICS], site.folder / "card.log",
                      {"ALSA_CONFIG_PATH": str(site.folder / "asoundrc")})
    program.start()
    try:
        verdicts.check("card: a pipeline hears it", until(lambda: site.received("card") > RATE, 10))
    finally:
        program.stop()


def main():
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(pathlib.Path(sys.argv[1]), pathlib.Path(folder))
        site.program.start()
        try:
            check_steady(site, verdicts)
            check_returns(site, verdicts)
            check_command(site, verdicts)
        finally:
            begin = time.monotonic()
            site.program.stop()
        verdicts.check("stops at once", time.monotonic() - begin < 10, f"{time.monotonic() - begin:.1f} s")
        check_card(site, verdicts)
        check_guide(site, verdicts)
        check_words(site, verdicts)
        if verdicts.failed:
            print(site.log()[-6000:])
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
