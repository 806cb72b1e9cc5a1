#!/usr/bin/env python3
"""Runs Azure's stock Python SDK as a module in a container under our agent, and checks it through the hub.

Usage: python_edge_module.py HOME/connection.json DEVICE

The image holds this machine's Python, the SDK as installed beside this interpreter, and edge_module.py; it is made here and
pushed to the hub, so nothing is fetched. The device's manifest gets one module and one route more and is put back at the end.
Prints one line per step. Exit code 0 when all steps passed, 1 when one did not, 2 for bad usage.
"""
import pathlib
import sys
import sysconfig
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "containers"))
import python_image
from python_device_service import Service, check, read_connection, run_steps, wait_for

HERE = pathlib.Path(__file__).resolve().parent
MODULE = "sdk"
REPOSITORY = "test/sdk-module"
NOT_IN_IMAGE = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth", "uamqp"}


def sdk_files():
    """All that is installed beside this interpreter but installers and the service's part: pairs (path, path below it)."""
    site = pathlib.Path(sysconfig.get_path("purelib"))
    return [(str(path), str(path.relative_to(site))) for path in site.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.relative_to(site).parts[0] not in NOT_IN_IMAGE]


class Deployment:
    """The device's manifest through the service SDK: with our module, and as it was."""

    def __init__(self, service, text, device):
        from azure.iot.hub import IoTHubConfigurationManager
        self.service, self.device = service, device
        self.manager = IoTHubConfigurationManager.from_connection_string(text)

    def desired(self, module):
        properties = self.service.registry.get_module_twin(self.device, module).properties.desired
        return {name: value for name, value in properties.items() if not name.startswith("$")}

    def apply(self, agent, hub, modules=None):
        from azure.iot.hub.models import ConfigurationContent
        content = {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": hub}, **(modules or {})}
        self.manager.apply_configuration_on_edge_device(self.device, ConfigurationContent(modules_content=content))

    def reported_modules(self):
        return self.service.registry.get_module_twin(self.device, "$edgeAgent").properties.reported.get("modules", {})


def push_image(service, host):
    def call(method, target, headers, raw):
        answer = service.session.request(method, service.base + target, headers=headers, data=raw, timeout=60)
        return answer.status_code, answer.text, answer.headers

    programs = [HERE / "edge_module.py"]
    token = service.session.headers["Authorization"]
    return f"{host}/{REPOSITORY}:1", python_image.push(call, token, REPOSITORY, "1", programs, sdk_files())


def with_module(agent, hub, image):
    agent = {**agent, "modules": {**agent["modules"], MODULE: {
        "version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
        "settings": {"image": image, "createOptions": "{}"}}}}
    routes = {**hub["routes"], MODULE: f"FROM /messages/modules/{MODULE}/outputs/out INTO $upstream"}
    return agent, {**hub, "routes": routes}


def last_words(service, device):
    from azure.iot.hub.models import CloudToDeviceMethod
    wanted = {"schemaVersion": "1.0", "items": [{"id": MODULE, "filter": {"tail": 20}}], "encoding": "none"}
    call = CloudToDeviceMethod(method_name="GetModuleLogs", payload=wanted, response_timeout_in_seconds=60)
    return "no event of the module, which says: " + str(
        service.registry.invoke_device_module_method(device, "$edgeAgent", call).payload)


def check_message(service, device):
    events = wait_for(lambda: service.events(device, MODULE))
    check("module: its message arrives in the hub's history", events, None if events else last_words(service, device))
    body = events[0]["body"]
    missing = [name for name, value in body["environment"].items() if not value]
    check("module: the agent gave it the eight IOTEDGE_ variables", len(body["environment"]) == 8 and not missing, body)
    check("module: they name the device and the module", body["environment"]["IOTEDGE_DEVICEID"] == device and
          body["environment"]["IOTEDGE_MODULEID"] == MODULE, body)
    check("module: it is not root", body["uid"] != 0, body)
    check("module: it got its twin", body["desired"]["speed"] == 1, body)
    seen = events[0]["properties"]
    check("module: with its properties and its output", seen.get("sender") == "stock sdk" and seen.get("$.on") == "out", seen)


def check_twin(service, device):
    from azure.iot.hub.models import Twin, TwinProperties
    registry = service.registry
    registry.update_module_twin(device, MODULE, Twin(properties=TwinProperties(desired={"speed": 2})), "*")
    reported = wait_for(lambda: registry.get_module_twin(device, MODULE).properties.reported.get("seen") == 2)
    check("module: a desired patch arrives and is reported back", reported,
          registry.get_module_twin(device, MODULE).properties.reported)


def check_method(service, device):
    from azure.iot.hub.models import CloudToDeviceMethod
    call = CloudToDeviceMethod(method_name="tap", payload={"times": 2}, response_timeout_in_seconds=60)
    result = service.registry.invoke_device_module_method(device, MODULE, call)
    check("module: a direct method is answered", result.status == 207 and result.payload == {"name": "tap", "got": {"times": 2}},
          result)


def run(connection, device):
    service = Service(connection)
    deployment = Deployment(service, service.connection_text, device)
    agent, hub = deployment.desired("$edgeAgent"), deployment.desired("$edgeHub")
    others = {name: module.get("lastStartTimeUtc") for name, module in deployment.reported_modules().items()}
    image, size = push_image(service, f"{connection['host']}:{connection['https_port']}")
    check("module: its image is in the hub's store", size > 0, size)
    begin = time.monotonic()
    try:
        new_agent, new_hub = with_module(agent, hub, image)
        deployment.apply(new_agent, new_hub, {MODULE: {"properties.desired": {"speed": 1}}})
        runs = wait_for(lambda: deployment.reported_modules().get(MODULE, {}).get("runtimeStatus") == "running", 240)
        check("module: the agent runs it", runs, deployment.reported_modules().get(MODULE))
        check_message(service, device)
        print(f"     {time.monotonic() - begin:.1f} s from the manifest to the message; the image has {size >> 10} KiB")
        check_twin(service, device)
        check_method(service, device)
    finally:
        deployment.apply(agent, hub)
    gone = wait_for(lambda: MODULE not in deployment.reported_modules(), 240)
    check("module: without it in the manifest it is removed", gone, deployment.reported_modules())
    after = {name: module.get("lastStartTimeUtc") for name, module in deployment.reported_modules().items()}
    check("module: the others were left alone", after == others, (others, after))


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    connection = read_connection(sys.argv[1])
    run_steps(lambda: run(connection, sys.argv[2]))
    return 1


if __name__ == "__main__":
    sys.exit(main())
