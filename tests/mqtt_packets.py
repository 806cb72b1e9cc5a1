"""MQTT 3.1.1 as bytes, for the tests' own clients.

Needs nothing beside itself: it also goes into the images of the modules under test.
"""
import struct


def mqtt_text(value):
    """A string with its length; struct.error above 65535 bytes."""
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    """A packet with its length. first: type and flags."""
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def take_packet(buffer):
    """(first byte, body, rest of the buffer) of the packet that it begins with, or None while that is not whole."""
    for digits in range(1, 5):
        if len(buffer) > digits and buffer[digits] < 0x80:
            size = sum((buffer[1 + i] & 0x7F) << (7 * i) for i in range(digits))
            begin = 1 + digits
            return (buffer[0], buffer[begin:begin + size], buffer[begin + size:]) if len(buffer) >= begin + size else None
    return None
