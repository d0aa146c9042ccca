"""Messages of the simulated platform: u32 length, big endian, then one canonical JSON object."""

from __future__ import annotations

import asyncio
import socket

from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_FRAME_BYTES", "read", "receive", "send", "write"]

MAX_FRAME_BYTES = 1 << 21
"""Evidence of eight GPUs, and collateral with reference measurements, are a few 100 kB in hex."""


def send(connection: socket.socket, message: object) -> None:
    """Send one message.

    Raises:
        WireError: longer than a frame may be.
        OSError: the connection is gone.
    """
    connection.sendall(_frame(message))


def receive(connection: socket.socket) -> canonical.JsonObject:
    """Return the next message.

    Raises:
        WireError: the connection ended, or bytes that are no message.
        OSError: the connection is gone, or its timeout is over.
    """
    size = _checked(int.from_bytes(_exactly(connection, 4), "big"))
    return canonical.parse_object(_exactly(connection, size), limit=MAX_FRAME_BYTES)


async def write(stream: asyncio.StreamWriter, message: object) -> None:
    """Send one message; see `send`."""
    stream.write(_frame(message))
    await stream.drain()


async def read(stream: asyncio.StreamReader) -> canonical.JsonObject | None:
    """Return the next message, or None where the other side has ended between two.

    Raises:
        WireError: bytes that are no message, or the end within one.
    """
    try:
        size = _checked(int.from_bytes(await stream.readexactly(4), "big"))
        return canonical.parse_object(await stream.readexactly(size), limit=MAX_FRAME_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise WireError("frame: got the end within a message") from error
        return None


def _frame(message: object) -> bytes:
    data = canonical.dump(message)
    return _checked(len(data)).to_bytes(4, "big") + data


def _checked(size: int) -> int:
    if not 0 < size <= MAX_FRAME_BYTES:
        raise WireError(f"frame: got {size} bytes, expected 1 to {MAX_FRAME_BYTES}")
    return size


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise WireError("frame: got the end of the connection, expected a message")
        data += piece
    return data
