"""Durable QoS 1 ingest: the real verge-hub beside MQTT servers, over the same TLS, with one load generator for all.

Every slice begins with a fresh server and an empty folder on the same disk. A pair is a slice of ours and the peer's
slice of the same round; the order changes from round to round. A round also times the disk's own append + sync.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import figures
from testkit import policy_token, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
PORT = 28830
START_S_MAX = 20
TOKEN_S = 24 * 3600

FLUSH = {
    "ours": "each message is acknowledged after the fdatasync that covers it (group commit)",
    "jetstream-always": "stored in a file, synced before each acknowledgement (sync_interval: always)",
    "jetstream-default": "stored in a file, acknowledged before it is synced (synced every 2 minutes)",
    "mosquitto": "nothing is stored (persistence off, no reader connected)",
}


def wait_for_port(port, process, log):
    for _ in range(START_S_MAX * 50):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args[0]} does not listen on port {port}; its last words: {log.read_text()[-2000:]}")


def processor_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder):
    sizes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            sizes += path.stat().st_blocks * 512
    return sizes


def disk_sync_ms(folder, count=100, size=5 * 1024):
    """Median time to append and fdatasync."""
    path, durations = folder / "sync-probe", []
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        for turn in range(count):
            begun = time.perf_counter()
            os.pwrite(handle, b"x" * size, turn * size)
            os.fdatasync(handle)
            durations.append((time.perf_counter() - begun) * 1e3)
    finally:
        os.close(handle)
        path.unlink()
    return statistics.median(durations)


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = options.cache / "bench" / "ingest"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.make_certificate()

    def make_certificate(self):
        """For the peers: a key of the kind that the hub makes for itself (EC, P-256)."""
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
        files = ["-keyout", self.folder / "key.pem", "-out", self.folder / "certificate.pem"]
        subprocess.run(["openssl", "req", "-x509", *new_key, *name, *files], **quiet)
        (self.folder / "key.pem").chmod(0o644)

    def load(self, *arguments):
        environment = {**os.environ, "OPENSSL_CONF": str(ROOT / "bench" / "tls.cnf")}
        command = [self.options.bin / "verge-bench-load", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout else {}

    def slice(self, system, publishers):
        home = self.folder / system
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        os.sync()  # What the slice before left to write is not this one's.
        with contextlib.ExitStack() as stack:
            log = home / "server.log"
            output = stack.enter_context(open(log, "w", encoding="utf-8"))
            command, prepare = SYSTEMS[system](self, home)
            server = subprocess.Popen(command, stdout=output, stderr=output)
            stack.callback(end, server)
            port, trust, token = prepare(server, log, publishers)
            processor_begun = processor_s(server.pid)
            try:
                answer = self.load(
                    "publish",
                    *("--port", port, "--trust", trust, "--publishers", publishers, "--window", self.options.window),
                    *("--seconds", self.options.seconds, "--body-bytes", self.options.body_bytes),
                    *(("--token", token) if token else ()),
                )
            except RuntimeError as error:
                raise SystemExit(f"bench: {system}: {error}; the server's last words: {log.read_text()[-1000:]}")
            answer["processor_us"] = (processor_s(server.pid) - processor_begun) / max(answer["in_all"], 1) * 1e6
            answer["stored_bytes"] = folder_bytes(home)
        if system != "mosquitto" and answer["stored_bytes"] < answer["in_all"] * self.options.body_bytes:
            raise SystemExit(
                f"bench: {system} acknowledged {answer['in_all']} messages of {self.options.body_bytes} bytes and has"
                f" {answer['stored_bytes']} bytes on disk: it does not store what it acknowledges"
            )
        shutil.rmtree(home, ignore_errors=True)
        return answer

    # Each gives a command and what to do until the server takes publishes: port, trusted certificate, password.

    def hub(self, home):
        command = [self.options.bin / "verge-hub", "--home", home / "hub"]
        command += ["--mqtt-port", str(PORT), "--https-port", "0", "--http-port", "0"]

        def prepare(server, log, publishers):
            wait_for_port(PORT, server, log)
            connection_file = home / "hub" / "connection.json"
            until(connection_file.exists, START_S_MAX, 0.02)
            connection = json.loads(connection_file.read_text())
            token = policy_token(connection["connection_string"], TOKEN_S)
            for number in range(publishers):
                request = urllib.request.Request(
                    f"http://127.0.0.1:{connection['http_port']}/devices/bench-{number:05}",
                    data=b"{}",
                    method="PUT",
                    headers={"Authorization": token, "Content-Type": "application/json"},
                )
                urllib.request.urlopen(request, timeout=10).close()
            return PORT, connection["ca_pem_file"], token

        return command, prepare

    def jetstream(self, home, settings):
        (home / "nats.conf").write_text(
            "server_name: bench\nhost: 127.0.0.1\nport: -1\n"
            f'jetstream {{ store_dir: "{home}/store"{settings} }}\n'
            f"mqtt {{ host: 127.0.0.1, port: {PORT}\n"
            f'tls {{ cert_file: "{self.folder}/certificate.pem", key_file: "{self.folder}/key.pem" }} }}\n'
        )
        command = [self.options.cache / "bench" / "nats" / "nats-server", "-c", home / "nats.conf"]

        def prepare(server, log, _):
            wait_for_port(PORT, server, log)
            trust = self.folder / "certificate.pem"
            self.load("subscribe", "--port", PORT, "--trust", trust)
            return PORT, trust, None

        return command, prepare

    def mosquitto(self, home):
        (home / "mosquitto.conf").write_text(
            f"listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type error\n"
            f"set_tcp_nodelay true\ncertfile {self.folder}/certificate.pem\nkeyfile {self.folder}/key.pem\nuser root\n"
        )

        def prepare(server, log, _):
            wait_for_port(PORT, server, log)
            return PORT, self.folder / "certificate.pem", None

        return ["mosquitto", "-c", home / "mosquitto.conf"], prepare


SYSTEMS = {
    "ours": Bench.hub,
    "jetstream-always": lambda bench, home: bench.jetstream(home, ", sync_interval: always"),
    "jetstream-default": lambda bench, home: bench.jetstream(home, ""),
    "mosquitto": Bench.mosquitto,
}


def end(server):
    server.send_signal(signal.SIGKILL)  # Nothing of it is needed any more, and the next one needs its port.
    server.wait()


def version_of(command):
    text = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", text)
    return found.group() if found else "unknown"


def measure(bench, output, publishers, peers):
    options = bench.options
    rates = {system: [] for system in ("ours", *peers)}
    others = {system: {"p50_ms": [], "p99_ms": [], "processor_us": []} for system in rates}
    syncs_ms = []
    shuffle = random.Random(publishers)
    for round_number in range(options.pairs):
        order = list(rates)
        shuffle.shuffle(order)
        syncs_ms.append(disk_sync_ms(bench.folder))
        for system in order:
            answer = bench.slice(system, publishers)
            rates[system].append(answer["per_s"])
            for name, values in others[system].items():
                values.append(answer[name])
        latest = ", ".join(f"{system} {values[-1]:,.0f}" for system, values in rates.items())
        output.say(f"{publishers} publishers, round {round_number + 1} of {options.pairs}, messages/s: {latest}")
    versions = {
        "jetstream": version_of([bench.options.cache / "bench/nats/nats-server", "--version"]),
        "mosquitto": version_of(["mosquitto", "-h"]),
    }

    def middle(system):
        return {name: round(statistics.median(values), 3) for name, values in others[system].items()}

    for peer in peers:
        about = {
            "publishers": publishers,
            "window": options.window,
            "body_bytes": options.body_bytes,
            "tls": "1.3, AES-128-GCM, P-256",
            "flush_ours": FLUSH["ours"],
            "flush_peer": FLUSH[peer],
            "peer_version": versions[peer.split("-", 1)[0]],
            "disk_sync_ms": round(statistics.median(syncs_ms), 3),
            "ours": middle("ours"),
            "peer": middle(peer),
            **figures.machine(),
        }
        work = f"ingest.qos1.{publishers}"
        output.show(figures.result(work, rates["ours"], "1/s", peer, rates[peer], about))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--pairs", type=int, default=15, help="interleaved rounds per number of publishers (15 or more)")
    parser.add_argument("--publishers", default="1,10,50", help="numbers of publishers, with commas")
    parser.add_argument("--window", type=int, default=20, help="unacknowledged messages per publisher")
    parser.add_argument("--seconds", type=float, default=2.5, help="measured seconds per slice, after 0.7 s of warm-up")
    parser.add_argument("--body-bytes", type=int, default=256)
    parser.add_argument("--peers", default="jetstream-always,jetstream-default,mosquitto")
    parser.add_argument("--bin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pairs < 15:
        parser.error("--pairs must be at least 15: fewer say nothing")
    peers = options.peers.split(",")
    if unknown := set(peers) - set(FLUSH):
        parser.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join(list(FLUSH)[1:])}")
    bench = Bench(options)
    output = figures.Output(options.json)
    for publishers in map(int, options.publishers.split(",")):
        measure(bench, output, publishers, peers)
    shutil.rmtree(bench.folder, ignore_errors=True)


main()
