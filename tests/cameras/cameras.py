"""Test cameras: RTSP and HTTP servers on loopback that play a short H.264, H.265 or JPEG film in a loop, and can misbehave.

Standard library only. Each camera has a port of its own and is driven by its methods, from any thread:

    drop()             ends every connection
    refuse(seconds)    the same, and nobody listens for so long
    freeze(seconds)    connections stay open, nothing is sent
    garble(pictures)   so many pictures are replaced by noise
    play(film)         another film, with another size, from its next key picture on

With `certificate`, a PEM file with certificate and key, they speak TLS.
"""
import base64
import hashlib
import http.server
import os
import re
import socket
import ssl
import struct
import threading
import time

RTP_BYTES_MAX = 1400  # Of a packet's payload, as over Ethernet.
SOI, EOI = b"\xff\xd8", b"\xff\xd9"


class H264Film:
    """Access units of an Annex B file, with the place of each in the order in which it is shown.

    The file has no or single B pictures: [P B] stands for pictures n + 1 and n.
    """

    parameter_kinds = (7, 8)  # Sequence and picture parameter sets.
    dropped_kinds = (6, 9)  # What decoders can do without.
    first_slice_at = 1  # The byte whose highest bit begins a picture.

    def __init__(self, file, fps):
        self.fps = fps
        units = [unit for unit in re.split(b"\0\0\0?\1", file.read_bytes()) if unit]
        self.parameters = [next(unit for unit in units if self.kind(unit) == kind) for kind in self.parameter_kinds]
        self.pictures = []
        for unit in units:
            if self.kind(unit) in self.parameter_kinds + self.dropped_kinds:
                continue
            if unit[self.first_slice_at] & 0x80 or not self.pictures:
                self.pictures.append([])
            self.pictures[-1].append(unit)
        is_reference = [self.is_reference(picture) for picture in self.pictures] + [True]
        self.places = []
        for i in range(len(self.pictures)):
            if not is_reference[i]:  # A B picture is shown before the one that it follows.
                self.places.append(self.places[i - 1] - 1)
            else:
                self.places.append(i if is_reference[i + 1] else i + 1)

    @staticmethod
    def kind(unit):
        return unit[0] & 31

    def is_key(self, picture):
        return any(self.kind(unit) == 5 for unit in picture)

    def is_reference(self, picture):
        return bool(picture[0][0] & 0x60)

    def units_of(self, picture):
        """Key pictures bring the parameter sets along, so that a film with another size can follow."""
        return [*self.parameters, *picture] if self.is_key(picture) else picture

    def pieces_of(self, unit):
        """RTP payloads: the unit, or its fragments (RFC 6184 section 5.8)."""
        if len(unit) <= RTP_BYTES_MAX:
            return [unit]
        pieces = [unit[i:i + RTP_BYTES_MAX - 2] for i in range(1, len(unit), RTP_BYTES_MAX - 2)]
        return [bytes([unit[0] & 0xE0 | 28, self.kind(unit) | ends_of(i, pieces)]) + piece for i, piece in enumerate(pieces)]

    def attributes(self):
        sps = self.parameters[0]
        sets = ",".join(base64.b64encode(item).decode() for item in self.parameters)
        return (f"a=rtpmap:96 H264/90000\r\n"
                f"a=fmtp:96 packetization-mode=1;profile-level-id={sps[1:4].hex()};sprop-parameter-sets={sets}\r\n")

    def description(self):
        return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
                "m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"
                f"m=video 0 RTP/AVP 96\r\n{self.attributes()}a=control:picture\r\n").encode()


class H265Film(H264Film):
    """The same of H.265, without B pictures."""

    parameter_kinds = (32, 33, 34)
    dropped_kinds = (35, 39, 40)
    first_slice_at = 2

    @staticmethod
    def kind(unit):
        return unit[0] >> 1 & 63

    def is_key(self, picture):
        return any(16 <= self.kind(unit) <= 21 for unit in picture)

    def is_reference(self, picture):
        return True

    def pieces_of(self, unit):
        """RFC 7798 section 4.4.3."""
        if len(unit) <= RTP_BYTES_MAX:
            return [unit]
        pieces = [unit[i:i + RTP_BYTES_MAX - 3] for i in range(2, len(unit), RTP_BYTES_MAX - 3)]
        return [bytes([unit[0] & 0x81 | 49 << 1, unit[1], self.kind(unit) | ends_of(i, pieces)]) + piece
                for i, piece in enumerate(pieces)]

    def attributes(self):
        names = ("sprop-vps", "sprop-sps", "sprop-pps")
        sets = ";".join(f"{name}={base64.b64encode(item).decode()}" for name, item in zip(names, self.parameters))
        return f"a=rtpmap:96 H265/90000\r\na=fmtp:96 {sets}\r\n"


def ends_of(index, pieces):
    """The bits of a first and a last fragment."""
    return (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)


def rtp_packets(film, units, sequence, stamp):
    """RTP packets of one picture."""
    payloads = [piece for unit in units for piece in film.pieces_of(unit)]
    return [struct.pack(">BBHII", 0x80, 96 | (0x80 if i == len(payloads) - 1 else 0), (sequence + i) & 0xFFFF,
                        stamp & 0xFFFFFFFF, 0xCAFE) + payload for i, payload in enumerate(payloads)]


class Camera:
    """What both sorts have in common: a port, connections, faults."""

    def __init__(self, port, user=None, password=None, scheme="digest", certificate=None, address="127.0.0.1"):
        self.address, self.port, self.user, self.password, self.scheme = address, port, user, password, scheme
        self.tls = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.nonce = os.urandom(8).hex()
        self.listener = None
        self.connections = set()
        self.connects = 0
        self.frozen_until = 0.0
        self.garbled = 0
        self.lock = threading.Lock()
        self.open()

    def open(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(16)
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connects += 1
                self.connections.add(connection)
            threading.Thread(target=self.serve_and_close, args=(connection,), daemon=True).start()

    def serve_and_close(self, connection):
        try:
            self.serve(self.tls.wrap_socket(connection, server_side=True) if self.tls else connection)
        except (OSError, ValueError, AttributeError):
            pass  # The peer went, or it was told to.
        finally:
            with self.lock:
                self.connections.discard(connection)
            connection.close()

    def drop(self):
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def refuse(self, seconds):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()
        threading.Timer(seconds, self.open).start()

    def freeze(self, seconds):
        self.frozen_until = time.monotonic() + seconds

    def garble(self, pictures):
        self.garbled = pictures

    def is_frozen(self):
        return time.monotonic() < self.frozen_until

    def takes_noise(self):
        if self.garbled > 0:
            self.garbled -= 1
            return True
        return False

    def challenge(self):
        if self.scheme == "basic":
            return 'Basic realm="camera"'
        return f'Digest realm="camera", nonce="{self.nonce}"'

    def is_welcome(self, method, authorization):
        """Whether the request carries the right user and password (RFC 2617)."""
        if self.user is None:
            return True
        if self.scheme == "basic":
            wanted = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return authorization == "Basic " + wanted
        fields = dict(re.findall(r'(\w+)="([^"]*)"', authorization or ""))
        digest = lambda text: hashlib.md5(text.encode()).hexdigest()
        secret = digest(f"{self.user}:camera:{self.password}")
        wanted = digest(f"{secret}:{self.nonce}:{digest(method + ':' + fields.get('uri', ''))}")
        return fields.get("username") == self.user and fields.get("response") == wanted


class RtspCamera(Camera):
    """RTSP with RTP over the connection or over UDP; digest or basic authentication when it has a user."""

    def __init__(self, port, film, **options):
        self.film = film
        super().__init__(port, **options)

    def play(self, film):
        self.film = film

    def serve(self, connection):
        lock, stop, waiting, target = threading.Lock(), threading.Event(), b"", None
        try:
            while True:
                head, waiting = self.read_request(connection, waiting)
                if head is None:
                    return
                while self.is_frozen():  # Who connects gets no answer either.
                    time.sleep(0.05)
                method, url = head.split(" ")[:2]
                number = re.search(r"CSeq: *(\d+)", head, re.I).group(1)
                authorization = re.search(r"^Authorization: *(.*?)\r?$", head, re.I | re.M)
                status, extra, body = "200 OK", "Session: 1;timeout=60\r\n", b""
                if not self.is_welcome(method, authorization and authorization.group(1)):
                    status, extra = "401 Unauthorized", f"WWW-Authenticate: {self.challenge()}\r\n"
                elif method == "OPTIONS":
                    extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n"
                elif method == "DESCRIBE":
                    body = self.film.description()
                    extra = f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n"
                elif method == "SETUP":
                    target, transport = self.transport(connection, lock, head)
                    extra += f"Transport: {transport}\r\n"
                answer = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body
                with lock:
                    connection.sendall(answer)
                if method == "PLAY" and status.startswith("200") and self.tls:
                    return self.send_film(connection, target, stop)  # A TLS connection is used by one thread at a time.
                if method == "PLAY" and status.startswith("200"):
                    threading.Thread(target=self.send_film, args=(connection, target, stop), daemon=True).start()
                if method == "TEARDOWN":
                    return
        finally:
            stop.set()

    @staticmethod
    def read_request(connection, waiting):
        while True:
            while waiting[:1] == b"$" and len(waiting) >= 4:  # Reports of the receiver.
                end = 4 + struct.unpack(">H", waiting[2:4])[0]
                if len(waiting) < end:
                    break
                waiting = waiting[end:]
            if waiting[:1] != b"$" and b"\r\n\r\n" in waiting:
                head, rest = waiting.split(b"\r\n\r\n", 1)
                return head.decode(), rest
            more = connection.recv(4096)
            if not more:
                return None, b""
            waiting += more

    @staticmethod
    def transport(connection, lock, head):
        """A function that sends one RTP packet, and the words for the answer."""
        ports = re.search(r"client_port=(\d+)-(\d+)", head)
        if ports is None:
            def send(packet):
                with lock:
                    connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            return send, "RTP/AVP/TCP;unicast;interleaved=0-1"
        outlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outlet.bind(("127.0.0.1", 0))
        own = outlet.getsockname()[1]
        return (lambda packet: outlet.sendto(packet, ("127.0.0.1", int(ports.group(1)))),
                f"RTP/AVP;unicast;client_port={ports.group(1)}-{ports.group(2)};server_port={own}-{own + 1}")

    def send_film(self, connection, send, stop):
        film, sequence, index, shown, first = self.film, 0, 0, 0, 0
        begin = time.monotonic()
        try:
            while not stop.is_set():
                time.sleep(max(0.0, begin + shown / film.fps - time.monotonic()))
                if self.is_frozen():
                    time.sleep(0.05)
                    begin += 0.05
                    continue
                if index == len(film.pictures) or (film is not self.film and index % 10 == 0):
                    film, index, first = self.film, 0, shown
                units = film.units_of(film.pictures[index])
                if self.takes_noise():
                    units = [unit[:1] + os.urandom(len(unit)) for unit in units]
                packets = rtp_packets(film, units, sequence, (first + film.places[index]) * 90_000 // film.fps)
                for packet in packets:
                    send(packet)
                sequence += len(packets)
                index += 1
                shown += 1
        except OSError:
            pass
        finally:
            connection.close()


class HttpCamera(Camera):
    """/live is a multipart stream, /picture one JPEG per request, /page no picture."""

    def __init__(self, port, pictures, fps, **options):
        self.pictures, self.fps = pictures, fps
        super().__init__(port, **options)

    def play(self, pictures):
        self.pictures = pictures

    def picture(self, index):
        picture = self.pictures[index % len(self.pictures)]
        return os.urandom(len(picture)) if self.takes_noise() else picture

    def serve(self, connection):
        camera = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                while camera.is_frozen():
                    time.sleep(0.05)
                if not camera.is_welcome("GET", self.headers["Authorization"]):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", camera.challenge())
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif self.path.startswith("/live"):
                    self.stream()
                elif self.path.startswith("/picture"):
                    self.answer("image/jpeg", camera.picture(int(time.monotonic() * camera.fps)))
                else:
                    self.answer("text/html", b"<p>no picture</p>")

            def answer(self, kind, body):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                index, begin = 0, time.monotonic()
                while True:
                    time.sleep(max(0.0, begin + index / camera.fps - time.monotonic()))
                    if camera.is_frozen():
                        time.sleep(0.05)
                        begin += 0.05
                        continue
                    body = camera.picture(index)
                    # Every other part leaves its length out, as some cameras do.
                    length = f"Content-Length: {len(body)}\r\n" if index % 2 == 0 else ""
                    self.wfile.write(f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + body + b"\r\n")
                    index += 1

            def log_message(self, *words):
                pass

        Answer(connection, connection.getpeername(), None)


def jpegs_of(file):
    """The pictures of a file of JPEGs one after the other, as `ffmpeg -f mjpeg` writes them."""
    return [SOI + part + EOI for part in re.findall(SOI + b"(.*?)" + EOI, file.read_bytes(), re.S)]
