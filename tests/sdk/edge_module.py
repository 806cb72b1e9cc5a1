"""A module in a container, written with Azure's stock device SDK and nothing else.

Sends one message that tells what the agent gave it, answers the direct method "tap", and reports back each desired patch.
tests/sdk/python_edge_module.py puts it into an image and checks it through the hub.
"""
import json
import os
import threading

from azure.iot.device import IoTHubModuleClient, Message, MethodResponse

VARIABLES = ("IOTEDGE_WORKLOADURI", "IOTEDGE_IOTHUBHOSTNAME", "IOTEDGE_GATEWAYHOSTNAME", "IOTEDGE_DEVICEID",
             "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID", "IOTEDGE_AUTHSCHEME", "IOTEDGE_APIVERSION")


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    # Signs through the workload API and trusts the certificate that comes from there.
    client = IoTHubModuleClient.create_from_edge_environment()

    def method(request):
        client.send_method_response(MethodResponse.create_from_method_request(
            request, 207, {"name": request.name, "got": request.payload}))
        say(method=request.name)

    def patch(desired):
        client.patch_twin_reported_properties({"seen": desired.get("speed"), "version": desired["$version"]})
        say(patch=desired)

    client.on_method_request_received = method
    client.on_twin_desired_properties_patch_received = patch
    client.connect()
    twin = client.get_twin()
    message = Message(json.dumps({
        "environment": {name: os.environ.get(name, "") for name in VARIABLES},
        "desired": twin["desired"], "uid": os.getuid()}), content_encoding="utf-8", content_type="application/json")
    message.custom_properties["sender"] = "stock sdk"
    client.send_message_to_output(message, "out")
    say(sent=True)
    threading.Event().wait()


main()
