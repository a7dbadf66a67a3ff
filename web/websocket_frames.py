"""WebSocket frames as bytes (RFC 6455): encoded for a server, decoded strictly from a client.

Used by web/websocket.py. The header codec is gevent-websocket's; limits, masks, close codes and UTF-8 are handled here,
since the package has no limits and lets through what the standard forbids.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from geventwebsocket.exceptions import ProtocolError
from geventwebsocket.websocket import Header

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
OPCODES = {TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION}
CONTROL_BYTES = 125

NORMAL, GOING_AWAY, PROTOCOL_ERROR, BAD_DATA, POLICY, TOO_BIG, SERVER_ERROR = 1000, 1001, 1002, 1007, 1008, 1009, 1011


class FrameError(Exception):
    """The other side broke the protocol or a limit; `code` is the close code to send."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Frame:
    """One frame, unmasked."""

    opcode: int
    final: bool
    payload: bytes


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return a complete, unmasked frame, as servers send them."""
    return bytes(Header.encode_header(True, opcode, b"", len(payload), 0)) + payload


def encode_text(message: str | bytes) -> bytes:
    """Return a text frame of `message` (bytes: UTF-8 already), to be built once and sent to any number of sockets."""
    return encode_frame(TEXT, message.encode(errors="replace") if isinstance(message, str) else message)


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to what a control frame may hold."""
    text = reason.encode(errors="replace")[: CONTROL_BYTES - 2].decode(errors="ignore")
    return encode_frame(CLOSE, struct.pack("!H", code) + text.encode())


def read_frame(stream: BinaryIO, limit: int) -> Frame:
    """Read one client frame with a payload of at most `limit` bytes; the payload is read only when it fits.

    Raises FrameError, EOFError where the stream ends, and OSError from the stream.
    """
    header = _read_header(stream)
    if header.flags:
        raise FrameError(PROTOCOL_ERROR, "reserved bits are set")
    if header.opcode not in OPCODES:
        raise FrameError(PROTOCOL_ERROR, "unknown opcode")
    if not header.mask:
        raise FrameError(PROTOCOL_ERROR, "client frames must be masked")
    if header.opcode < CLOSE and header.length > limit:
        raise FrameError(TOO_BIG, "the message is too big")
    payload = stream.read(header.length)
    if len(payload) < header.length:
        raise EOFError
    return Frame(header.opcode, bool(header.fin), unmask(payload, header.mask))


def _read_header(stream: BinaryIO) -> Header:
    try:
        return Header.decode_header(stream)
    except ProtocolError:  # a control frame that is long or fragmented
        raise FrameError(PROTOCOL_ERROR, "malformed control frame") from None
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise EOFError from None


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR the payload with the mask, as one large number: a loop over bytes would block the hub."""
    size = len(payload)
    stretched = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")


def parse_close(payload: bytes) -> int | None:
    """Return the code of a close frame's payload, None if empty; raises FrameError for one that may not be sent."""
    if not payload:
        return None
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "half a close code")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(PROTOCOL_ERROR, "this close code may not be sent")
    decode_utf8(payload[2:])
    return code


def decode_utf8(data: bytes) -> str:
    """Decode strict UTF-8; raises FrameError with close code 1007."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "invalid UTF-8") from None
