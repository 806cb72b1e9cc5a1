"""A small ONVIF camera: answers probes, tells its time, and its two streams to who knows its password.

Written from WS-Discovery (April 2005) and the ONVIF Core and Media specifications; standard library only. Its clock is an hour
late, as cameras' clocks are, and a login is good for a minute of it.
"""
import base64
import datetime
import hashlib
import http.server
import re
import socket
import struct
import threading
import time

GROUP, PORT = "239.255.255.250", 3702
LATE_S, GOOD_FOR_S = 3600, 60


def envelope(body, header=""):
    return (f'<?xml version="1.0"?><SOAP:Envelope xmlns:SOAP="http://www.w3.org/2003/05/soap-envelope" xmlns:d="http://'
            'schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:tt="'
            'http://www.onvif.org/ver10/schema" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><SOAP:Header>'
            f"{header}</SOAP:Header><SOAP:Body>{body}</SOAP:Body></SOAP:Envelope>").encode()


class OnvifCamera:
    """profiles: [(token, codec, width, height, fps, RTSP address)]"""

    def __init__(self, address, port, name, user, password, profiles):
        self.address, self.port, self.name, self.user, self.password, self.profiles = address, port, name, user, password, profiles
        self.probes, self.requests = 0, []
        self.open_discovery()
        self.server = http.server.ThreadingHTTPServer((address, port), self.handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    # -- discovery

    def open_discovery(self):
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.datagrams.bind((GROUP, PORT))
        self.datagrams.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                  socket.inet_aton(GROUP) + socket.inet_aton(self.address))
        threading.Thread(target=self.answer_probes, daemon=True).start()

    def answer_probes(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outlet:
            outlet.bind((self.address, 0))
            while True:
                question, sender = self.datagrams.recvfrom(65536)
                found = re.search(rb"MessageID[^>]*>\s*([^<\s]+)", question)
                if found is None or b"Probe" not in question:
                    continue
                self.probes += 1
                outlet.sendto(self.probe_match(found.group(1).decode()), sender)

    def probe_match(self, message):
        return envelope(
            "<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:5f5a69c2-e0ae-504f-829b-00fcaaaaaaaa</a:Address>"
            "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/name/"
            f"{self.name} onvif://www.onvif.org/hardware/Test-1</d:Scopes><d:XAddrs>http://{self.address}:{self.port}/onvif/"
            "device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches>",
            f"<a:RelatesTo>{message}</a:RelatesTo>")

    # -- its services

    def handler(self):
        camera = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, body = camera.answer(text)
                self.send_response(status)
                self.send_header("Content-Type", "application/soap+xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Answer

    def now(self):
        return time.time() - LATE_S

    def is_welcome(self, text):
        parts = [re.search(rf"<\w+:{name}(?: [^>]*)?>([^<]*)<", text) for name in ("Username", "Password", "Nonce", "Created")]
        if not all(parts):
            return False
        user, digest, nonce, created = (part.group(1) for part in parts)
        wanted = base64.b64encode(hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode()).digest()).decode()
        at = datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        return user == self.user and digest == wanted and abs(at - self.now()) < GOOD_FOR_S

    def answer(self, text):
        self.requests.append(text)
        body = text.split("Body>")[1]
        if "GetSystemDateAndTime" in body:
            return 200, self.time()
        if not self.is_welcome(text):
            return 400, envelope("<SOAP:Fault><SOAP:Code><SOAP:Value>SOAP:Sender</SOAP:Value><SOAP:Subcode><SOAP:Value>ter:"
                                 "NotAuthorized</SOAP:Value></SOAP:Subcode></SOAP:Code><SOAP:Reason><SOAP:Text xml:lang=\"en\">"
                                 "Sender not authorized</SOAP:Text></SOAP:Reason></SOAP:Fault>")
        if "GetCapabilities" in body:
            return 200, envelope("<GetCapabilitiesResponse><Capabilities><tt:Media><tt:XAddr>http://"
                                 f"{self.address}:{self.port}/onvif/media</tt:XAddr></tt:Media></Capabilities></GetCapabilitiesResponse>")
        if "GetProfiles" in body:
            return 200, envelope(f"<GetProfilesResponse>{''.join(map(self.profile, self.profiles))}</GetProfilesResponse>")
        token = re.search(r"ProfileToken>([^<]*)<", body).group(1)
        address = next(profile[5] for profile in self.profiles if profile[0] == token)
        return 200, envelope(f"<GetStreamUriResponse><MediaUri><tt:Uri>{address}</tt:Uri></MediaUri></GetStreamUriResponse>")

    def time(self):
        at = datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc)
        return envelope(
            "<GetSystemDateAndTimeResponse><SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>{0.hour}</tt:Hour><tt:Minute>"
            "{0.minute}</tt:Minute><tt:Second>{0.second}</tt:Second></tt:Time><tt:Date><tt:Year>{0.year}</tt:Year><tt:Month>"
            "{0.month}</tt:Month><tt:Day>{0.day}</tt:Day></tt:Date></tt:UTCDateTime></SystemDateAndTime>"
            "</GetSystemDateAndTimeResponse>".format(at))

    @staticmethod
    def profile(profile):
        token, codec, width, height, fps, _ = profile
        return (f'<Profiles token="{token}"><tt:Name>{token} stream</tt:Name><tt:VideoEncoderConfiguration><tt:Encoding>{codec}'
                f"</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
                f"<tt:RateControl><tt:FrameRateLimit>{fps}</tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration>"
                "</Profiles>")
