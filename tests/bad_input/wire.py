"""Garbage, wrong keys and messages that are too large at a real hub and a real router; bad routes and createOptions.

    python3 tests/bad_input/wire.py FOLDER_WITH_PROGRAMS        (run.sh calls it, inside a network namespace)
"""
import base64
import json
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import peer
from mqtt_packets import mqtt_text, packet
from peer import MESSAGE_BYTES_MAX, Peer
from testkit import API, HUB_MQTT, ROUTER, Agent, Hub, Verdicts, pss_kib, sign, until

WRONG_KEY = base64.b64encode(b"not the key that the hub knows").decode()


def garbage():
    """(name, bytes) that no MQTT client sends before it is connected."""
    chance = random.Random(7731)
    connect = peer.connect_packet("x", "localhost/x/?" + API, "no signature")
    yield "an HTTP request", b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"
    yield "zeros", bytes(4096)
    yield "ones", b"\xff" * 4096
    yield "a length of five bytes", b"\x10\xff\xff\xff\xff\x7f"
    yield "a packet of 256 MB announced", b"\x10\xff\xff\xff\x7f" + bytes(1000)
    yield "PUBLISH before CONNECT", packet(0x30, mqtt_text("a") + b"x")
    yield "PINGREQ before CONNECT", b"\xc0\x00"
    yield "packet type 0", b"\x00\x00"
    yield "packet type 15", b"\xf0\x00"
    yield "another protocol", packet(0x10, mqtt_text("MQTX") + b"\x04\x02\x00\x3c" + mqtt_text("x"))
    yield "a text that is longer than its packet", packet(0x10, mqtt_text("MQTT") + b"\x04\x02\x00\x3c\xff\xff")
    yield "CONNECT with bytes behind it", packet(0x10, connect[2:] + b"rest")
    yield "a client id that is no UTF-8", packet(0x10, mqtt_text("MQTT") + b"\x04\x02\x00\x3c\x00\x02\xc3\x28")
    for number in range(5):
        yield f"noise {number + 1}", chance.randbytes(3000)


def nonsense_after_connect(identity):
    """(name, bytes) that break the protocol or the contract once connected."""
    device, _, module = identity.partition("/")
    own = f"devices/{device}" + (f"/modules/{module}" if module else "")
    yield "a second CONNECT", peer.connect_packet(identity, "x", "x")
    yield "a topic of somebody else", packet(0x32, mqtt_text("devices/other/messages/events/") + b"\0\1x")
    yield "a topic with a wildcard", packet(0x32, mqtt_text(own + "/#") + b"\0\1x")
    yield "an empty topic", packet(0x32, b"\0\0\0\1x")
    yield "a topic that is no UTF-8", packet(0x32, b"\0\2\xc3\x28\0\1x")
    yield "QoS 3", packet(0x36, mqtt_text(own + "/messages/events/") + b"\0\1x")
    yield "packet identifier 0", packet(0x32, mqtt_text(own + "/messages/events/") + b"\0\0x")
    yield "SUBSCRIBE without a filter", packet(0x82, b"\0\1")
    yield "SUBSCRIBE with wrong flags", packet(0x80, b"\0\1" + mqtt_text("$iothub/twin/res/#") + b"\0")
    yield "a packet of a server", packet(0x20, b"\0\0")
    yield "noise", random.Random(9).randbytes(500)


def plain_bytes_to_tls(verdicts, where, host, port, healthy):
    for name, data in (("HTTP without TLS", b"GET / HTTP/1.0\r\n\r\n"), ("noise without TLS", random.Random(3).randbytes(2000)),
                       ("nothing, then the end", b"")):
        link = socket.create_connection((host, port), 40)
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        link.settimeout(60)
        try:
            while link.recv(4096):
                pass
            is_closed = True
        except ConnectionResetError:
            is_closed = True
        except TimeoutError:
            is_closed = False
        link.close()
        verdicts.check(f"{where}: {name} closes", is_closed and healthy())


def throw_garbage(verdicts, where, host, port, identity, key, healthy):
    for name, data in garbage():
        link = Peer(host, port)
        link.send(data)
        verdicts.check(f"{where}: {name} closes", link.closes() and healthy())
        link.close()
    for name, data in nonsense_after_connect(identity):
        link = Peer(host, port, identity, key)
        is_welcome = link.code == 0
        link.send(data)
        verdicts.check(f"{where}: connected, then {name}", is_welcome and link.closes() and healthy())
        link.close()
    plain_bytes_to_tls(verdicts, where, host, port, healthy)


def wrong_proofs(verdicts, where, host, port, identity, key):
    device, _, module = identity.partition("/")
    resource = f"localhost/devices/{device}" + (f"/modules/{module}" if module else "")
    user = f"localhost/{identity}/?{API}"
    for name, client, login, password in (
            ("a wrong key", identity, user, sign(resource, WRONG_KEY)),
            ("an identity that is not there", "ghost", f"localhost/ghost/?{API}",
             sign("localhost/devices/ghost", WRONG_KEY)),
            ("no signature", identity, user, "hunter2"),
            ("an ended signature", identity, user, sign(resource, key, seconds=-60)),
            ("a signature for another resource", identity, user, sign("localhost/devices/other", key))):
        link = Peer(host, port)
        link.send(peer.connect_packet(client, login, password))
        first, body = link.read(40)
        verdicts.check(f"{where}: {name} is refused", first == 0x20 and body[1] in (4, 5) and link.closes(),
                       f"CONNACK {body[1] if body else None}")
        link.close()


def message_sizes(verdicts, where, host, port, identity, key, stored, healthy):
    before = stored()
    link = Peer(host, port, identity, key)
    is_acknowledged = link.publish(b"x" * 300_000)
    verdicts.check(f"{where}: 300 KB ends the connection unacknowledged, as Azure does",
                   not is_acknowledged and link.closes() and healthy())
    link = Peer(host, port, identity, key)
    verdicts.check(f"{where}: one byte above 256 KiB too",
                   not link.publish(b"x" * (MESSAGE_BYTES_MAX + 1)) and link.closes())
    link = Peer(host, port, identity, key)
    verdicts.check(f"{where}: the connection after it works, and 256 KiB are taken",
                   link.code == 0 and link.publish(b"x" * MESSAGE_BYTES_MAX))
    verdicts.check(f"{where}: only that one is stored", until(lambda: stored() == before + 1), f"{stored() - before}")
    link.close()


def bad_manifests(verdicts, hub, module):
    """What Azure reports, while the old set carries on."""
    for name, content, where in (
            ("a bad route", peer.manifest(route="FROM /messages/* INTO nowhere"), "$edgeHub"),
            ("createOptions that are no JSON", peer.manifest(options="{broken"), "$edgeAgent")):
        status = hub.deploy("edge", content)[0]
        bad = until(lambda: hub.reported("edge", where)["lastDesiredStatus"]["code"] == 400 and
                    hub.reported("edge", where)["lastDesiredStatus"], 20)
        verdicts.check(f"agent: {name} is reported by {where} with 400", status in (200, 204) and bad,
                       (bad or {}).get("description", "")[:140])
        verdicts.check(f"agent: after {name} messages flow", module.say(900 + len(name)))
        hub.deploy("edge", peer.manifest())
        good = until(lambda: hub.reported("edge", where)["lastDesiredStatus"]["code"] == 200, 20)
        verdicts.check(f"agent: the sound manifest after {name} counts", good)
    before = hub.call("GET", f"/twins/edge/modules/%24edgeHub?{API}")[1]["properties"]["desired"]
    for name, content in (("no modulesContent", {"content": 1}), ("a module that is no object", {"modulesContent": {"m": 5}}),
                          ("a module name with a slash", {"modulesContent": {"a/b": {"properties.desired": {}}}})):
        status, answer = hub.deploy("edge", content)
        after = hub.call("GET", f"/twins/edge/modules/%24edgeHub?{API}")[1]["properties"]["desired"]
        verdicts.check(f"hub: {name} is refused with 400 and changes nothing", status == 400 and after == before,
                       str(answer)[:140])


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory(prefix="verge-wire-") as work:
        work = pathlib.Path(work)
        hub = Hub(programs, work / "hub", work / "hub.log")
        agent = None
        try:
            verdicts.check("the hub runs", hub.start_and_wait())
            key = hub.make_device("d")
            agent = Agent(programs, work / "agent", work / "agent.log", hub, hub.make_device("edge", True))
            hub.deploy("edge", peer.manifest())
            agent.start()
            module_key = until(lambda: hub.module_key("edge", "m"), 30)  # The agent makes the modules' identities.
            until(lambda: hub.module_key("edge", "n"), 30)
            module = until(lambda: (lambda link: link if link.code == 0 else None)(
                Peer(ROUTER, 8883, "edge/m", module_key)), 30)
            verdicts.check("the router takes a module", module is not None)
            verdicts.check("the module's message reaches the hub", module.say(1) and until(
                lambda: hub.numbers("edge", "m") == [1]))
            good = Peer("127.0.0.1", HUB_MQTT, "d", key)
            verdicts.check("the hub takes a device", good.code == 0 and good.say(1))

            counter = {"good": 1, "module": 1}

            def hub_is_healthy():
                counter["good"] += 1
                return hub.is_running() and good.say(counter["good"])

            def router_is_healthy():
                counter["module"] += 1
                return agent.is_running() and module.say(counter["module"])

            # Memory is taken after a first round: what garbage costs once (buffers, TLS) is no leak.
            for round_number in range(2):
                memory = {"hub": pss_kib(hub.pid()), "agent": pss_kib(agent.pid())}
                quiet = Verdicts() if round_number else verdicts
                if round_number:
                    quiet.check = lambda what, is_good, detail="": is_good or verdicts.check("again, " + what, False)
                other = hub.make_device(f"thrown-{round_number}")
                throw_garbage(quiet, "hub", "127.0.0.1", HUB_MQTT, f"thrown-{round_number}", other, hub_is_healthy)
                throw_garbage(quiet, "router", ROUTER, 8883, "edge/n", hub.module_key("edge", "n"), router_is_healthy)
            for name, program in (("hub", hub), ("agent", agent)):
                grown = pss_kib(program.pid()) - memory[name]
                verdicts.check(f"{name}: a second round of all garbage costs no memory (2 MiB at most)", grown <= 2048,
                               f"{grown} KiB")

            wrong_proofs(verdicts, "hub", "127.0.0.1", HUB_MQTT, "d", key)
            wrong_proofs(verdicts, "router", ROUTER, 8883, "edge/m", module_key)
            status, answer = hub.call("GET", f"/devices/d?{API}", token=sign("localhost", WRONG_KEY, "owner"))
            verdicts.check("hub: REST with a wrong key is 401", status == 401, str(answer)[:120])
            message_sizes(verdicts, "hub", "127.0.0.1", HUB_MQTT, "sized", hub.make_device("sized"), lambda: len(
                hub.call("GET", "/api/v1/events?device=sized&limit=1000")[1]["events"]), hub_is_healthy)
            message_sizes(verdicts, "router", ROUTER, 8883, "edge/n", hub.module_key("edge", "n"), lambda: len(
                hub.call("GET", "/api/v1/events?device=edge&module=n&limit=1000")[1]["events"]), router_is_healthy)
            bad_manifests(verdicts, hub, module)
            verdicts.check("all of the module's messages are stored once and in order",
                           until(lambda: hub.is_whole("edge", "m")), f"{len(hub.numbers('edge', 'm'))}")

            agent.stop()
            (agent.home / "device.key").write_text(WRONG_KEY)
            begin = agent.log.stat().st_size
            agent.start()

            def refusal():
                text = agent.log.read_bytes()[begin:].decode(errors="replace")
                return next((line for line in text.splitlines() if "not authorized" in line or "401" in line), None)

            said = until(refusal, 20)
            verdicts.check("agent: with a wrong key it says so and goes on", said and agent.is_running(), (said or "")[:220])
            checked = subprocess.run([str(programs / "verge"), "device", "list", "--connection", str(write_wrong_key(hub, work))],
                                     capture_output=True, text=True, timeout=120)
            verdicts.check("verge: a wrong key is said, exit code 2", checked.returncode == 2 and "401" in checked.stderr or
                           "nauthorized" in checked.stderr, f"{checked.returncode} {checked.stderr.strip()[:200]}")
        finally:
            for program in (agent, hub):
                if program is not None:
                    program.stop(signal.SIGTERM)
            if verdicts.failed:
                for log in ("hub.log", "agent.log"):
                    if (work / log).exists():
                        print(f"-- {log}\n" + "\n".join((work / log).read_text(errors="replace").splitlines()[-25:]))
    return verdicts.finish()


def write_wrong_key(hub, work):
    """A connection file like the hub's, with another key."""
    connection = json.loads((hub.home / "connection.json").read_text())
    parts = connection["connection_string"].split(";")
    connection["connection_string"] = ";".join(
        f"SharedAccessKey={WRONG_KEY}" if part.startswith("SharedAccessKey=") else part for part in parts)
    path = work / "wrong.json"
    path.write_text(json.dumps(connection))
    return path


if __name__ == "__main__":
    sys.exit(main())
