#!/usr/bin/env python3
"""Drives a hub with Azure's stock Python SDKs: a service client, a device and a module, unmodified.

Usage: python_device_service.py HOME/connection.json

Needs the packages of tests/sdk/requirements.txt. The device SDK knows only port 8883, so the hub must listen there; the
service client goes to the HTTPS port of connection.json.
Prints one line per step. Exit code 0 when all steps passed, 1 at the first that did not, 2 for bad usage.
"""
import json
import os
import sys
import threading
import time
import traceback
import uuid

WAIT_S = 80


def read_connection(path):
    with open(path, encoding="utf-8") as file:
        connection = json.load(file)
    if connection["mqtt_port"] != 8883:
        print("the hub's MQTT port must be 8883: the device SDK has no other", file=sys.stderr)
        sys.exit(2)
    os.environ["REQUESTS_CA_BUNDLE"] = connection["ca_pem_file"]  # Read by the service SDK's HTTP library.
    return connection


class Failed(Exception):
    """A step did not hold; its line is printed."""


def check(step, fact, seen=None):
    print(f"{'ok  ' if fact else 'FAIL'} {step}{'' if fact else f': {seen!r}'}", flush=True)
    if not fact:
        raise Failed(step)


def wait_for(condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return None


def run_steps(steps, seconds=600):
    """Runs `steps()` and ends the program: with 0, or with 1 after a failed step, an exception, or `seconds`."""
    def give_up():
        print(f"FAIL all steps end within {seconds} s", flush=True)
        os._exit(1)

    watchdog = threading.Timer(seconds, give_up)
    watchdog.daemon = True
    watchdog.start()
    code = 1
    try:
        steps()
        print("all steps passed")
        code = 0
    except Failed:
        pass
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        print(f"FAIL {type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(code)  # The SDK's threads would keep the program.


class Service:
    """The service SDK's registry manager, and our own API with the same proof."""

    def __init__(self, connection):
        from azure.iot.hub import IoTHubRegistryManager
        from azure.iot.hub.auth import ConnectionStringAuthentication
        host = f"{connection['host']}:{connection['https_port']}"
        text = connection["connection_string"].replace(f"HostName={connection['host']};", f"HostName={host};")
        self.registry = IoTHubRegistryManager.from_connection_string(text)
        self.connection_text = text
        self.base = f"https://{host}"
        self.session = ConnectionStringAuthentication(text).signed_session()
        self.session.verify = connection["ca_pem_file"]

    def events(self, device, module=""):
        answer = self.session.get(f"{self.base}/api/v1/events", params={"device": device, "module": module}, timeout=60)
        answer.raise_for_status()
        return answer.json()["events"]


def connect(connection, device, key, module=None):
    from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient
    with open(connection["ca_pem_file"], encoding="utf-8") as file:
        trust = file.read()
    text = f"HostName={connection['host']};DeviceId={device};SharedAccessKey={key}"
    kind = IoTHubModuleClient if module else IoTHubDeviceClient
    if module:
        text += f";ModuleId={module}"
    client = kind.create_from_connection_string(text, server_verification_cert=trust, connection_retry=False)
    try:
        client.connect()
    except Exception:
        client.shutdown()
        raise
    return client


def check_registry(service, device):
    from azure.iot.hub.models import Twin, TwinProperties
    made = service.registry.create_device_with_sas(device, "", "", "enabled", iot_edge=True)
    check("service: create an edge device", made.device_id == device and made.capabilities.iot_edge, made)
    key = made.authentication.symmetric_key.primary_key
    check("service: keys were made", key and made.authentication.symmetric_key.secondary_key != key)
    check("service: get the device", service.registry.get_device(device).generation_id == made.generation_id)
    updated = service.registry.update_device_with_sas(
        device, made.etag, key, key, "enabled", iot_edge=True, status_reason="checked")
    check("service: update the device by etag", updated.status_reason == "checked" and updated.etag != made.etag, updated)
    module = service.registry.create_module_with_sas(device, "sensor", "test", "", "")
    check("service: create a module", module.module_id == "sensor" and module.managed_by == "test", module)
    names = sorted(item.module_id for item in service.registry.get_modules(device))
    check("service: list modules", names == ["$edgeAgent", "$edgeHub", "sensor"], names)
    check("service: list devices", device in [item.device_id for item in service.registry.get_devices()])
    twin = service.registry.update_twin(device, Twin(tags={"site": "press"}, properties=TwinProperties(desired={"speed": 3})), "*")
    check("service: patch tags and desired properties", twin.tags == {"site": "press"} and twin.properties.desired["speed"] == 3, twin)
    return key, module.authentication.symmetric_key.primary_key


def check_errors(service):
    from msrest.exceptions import HttpOperationError
    try:
        service.registry.get_device("nobody-" + uuid.uuid4().hex)
    except HttpOperationError as error:
        check("service: an absent device is a 404", error.response.status_code == 404)
        check("service: with Azure's code", "DeviceNotFound" in error.response.json()["Message"], error.response.text)
    else:
        check("service: an absent device is refused", False)


def check_wrong_key(connection, device):
    from azure.iot.device import exceptions
    try:
        connect(connection, device, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    except exceptions.CredentialError:
        check("device: a wrong key is refused as such", True)
    else:
        check("device: a wrong key is refused", False)


def check_telemetry(service, device, client, module=""):
    from azure.iot.device import Message
    message = Message(json.dumps({"temperature": 21.5}), content_encoding="utf-8", content_type="application/json")
    message.message_id = "m-1"
    message.custom_properties["a b"] = "c/d&e=ä"
    client.send_message(message)
    events = wait_for(lambda: service.events(device, module))
    who = f"{'module' if module else 'device'}: "
    check(who + "telemetry arrives", events and events[0]["body"] == {"temperature": 21.5}, events)
    seen = events[0]["properties"]
    check(who + "with its properties", seen.get("a b") == "c/d&e=ä" and seen.get("$.mid") == "m-1" and seen.get("$.ct") == "application/json", seen)


def check_twin(service, device, client):
    from azure.iot.hub.models import Twin, TwinProperties
    twin = client.get_twin()
    check("device: get the twin", twin["desired"]["speed"] == 3 and "$version" in twin["desired"] and "reported" in twin, twin)
    patches = []
    client.on_twin_desired_properties_patch_received = patches.append
    service.registry.update_twin(device, Twin(properties=TwinProperties(desired={"speed": 4})), "*")
    wait_for(lambda: patches)
    check("device: a desired patch arrives", patches and patches[0]["speed"] == 4 and "$version" in patches[0], patches)
    client.patch_twin_reported_properties({"heat": {"now": 7}})
    reported = service.registry.get_twin(device).properties.reported
    check("device: reported properties are stored", reported["heat"]["now"] == 7, reported)
    connected = service.registry.get_device(device).connection_state
    check("service: the device is connected", connected == "Connected", connected)


def check_method(service, device, client):
    from azure.iot.device import MethodResponse
    from azure.iot.hub.models import CloudToDeviceMethod
    from msrest.exceptions import HttpOperationError

    def answer(request):
        client.send_method_response(MethodResponse.create_from_method_request(request, 207, {"name": request.name, "got": request.payload}))

    def call_once_it_listens():  # The SDK subscribes in the background.
        try:
            return service.registry.invoke_device_method(device, call)
        except HttpOperationError as error:
            if error.response.status_code != 404:
                raise
            return None

    client.on_method_request_received = answer
    call = CloudToDeviceMethod(method_name="tap", payload={"times": 2}, response_timeout_in_seconds=60)
    result = wait_for(call_once_it_listens)
    check("method: status and payload come back", result.status == 207 and result.payload == {"name": "tap", "got": {"times": 2}}, result)
    result = service.registry.invoke_device_method(device, CloudToDeviceMethod(method_name="bare"))
    check("method: without a payload", result.payload in ({"name": "bare", "got": None}, {"name": "bare", "got": ""}), result.payload)
    try:
        service.registry.invoke_device_module_method(device, "sensor", call)
    except HttpOperationError as error:
        check("method: a module that is not connected is a 404", error.response.status_code == 404, error.response.text)
    else:
        check("method: a module that is not connected is refused", False)


def check_query(service, device):
    from azure.iot.hub.models import QuerySpecification
    found = service.registry.query_iot_hub(QuerySpecification(query=f"SELECT * FROM devices WHERE tags.site = 'press' AND deviceId = '{device}'"))
    check("query: by tag", [item.device_id for item in found.items] == [device], found.items)
    check("query: the last page has no continuation", not found.continuation_token, found.continuation_token)


def check_reconnect(service, device, client):
    client.disconnect()
    state = wait_for(lambda: service.registry.get_device(device).connection_state == "Disconnected")
    check("device: disconnects", state)
    client.connect()
    check("device: connects again", client.connected)


def run(connection):
    service = Service(connection)
    device = "sdk-" + uuid.uuid4().hex[:8]
    check_errors(service)
    key, module_key = check_registry(service, device)
    check_wrong_key(connection, device)
    client = connect(connection, device, key)
    check("device: connects", client.connected)
    check_telemetry(service, device, client)
    check_twin(service, device, client)
    check_method(service, device, client)
    check_query(service, device)
    check_reconnect(service, device, client)
    module = connect(connection, device, module_key, "sensor")
    check_telemetry(service, device, module, "sensor")
    module.shutdown()
    client.shutdown()
    service.registry.delete_device(device)
    check("service: delete the device", wait_for(lambda: device not in [item.device_id for item in service.registry.get_devices()]))


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    connection = read_connection(sys.argv[1])
    run_steps(lambda: run(connection))
    return 1


if __name__ == "__main__":
    sys.exit(main())
