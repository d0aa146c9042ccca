"""The socket by which a host asks the simulated platform for CVMs and collateral."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from enclave_runtime.attestation.collateral import MAX_COLLATERAL_BYTES
from enclave_runtime.attestation.simulated import frames
from enclave_runtime.attestation.simulated.platform import LaunchRequest, Platform
from enclave_runtime.wire import canonical
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["PlatformServer"]

_LAUNCH_FIELDS = frozenset({"runtime_dir", "requirements", "socket_dir", "plain_mib"})


class PlatformServer:
    """Requests {"op": ...} answered by {"ok": ...} or {"error": text}; any number per connection."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._operations: dict[str, Callable[[JsonObject], Awaitable[JsonObject]]] = {
            "hello": self._hello,
            "launch": self._launch,
            "list": self._list,
            "kill": self._kill,
            "collateral": self._collateral,
        }

    async def serve(self, path: Path, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Listen on `path`, which only this user may use, until `stop` is set.

        Args:
            path: unix socket; one that is there already is replaced.
            stop: ends the service.
            on_ready: called when the socket accepts.
        """
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._talk, path)
        path.chmod(0o600)
        on_ready()
        try:
            await stop.wait()
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            try:
                while (request := await frames.read(reader)) is not None:
                    await frames.write(writer, await self._answer(request))
            except WireError as error:
                await frames.write(writer, {"error": str(error)})

    async def _answer(self, request: JsonObject) -> JsonObject:
        operation = self._operations.get(str(request.get("op")))
        if operation is None:
            return {
                "error": f"got operation {str(request.get('op'))[:40]!r}, expected {sorted(self._operations)}"
            }
        try:
            return {"ok": await operation(request)}
        except (EnclaveError, OSError) as error:
            return {"error": str(error)}

    async def _hello(self, request: JsonObject) -> JsonObject:
        return self._platform.describe()

    async def _launch(self, request: JsonObject) -> JsonObject:
        given = request.keys() - {"op"}
        if given != _LAUNCH_FIELDS:
            raise WireError(f"launch: got fields {sorted(given)}, expected {sorted(_LAUNCH_FIELDS)}")
        requirements = request["requirements"]
        if not isinstance(requirements, list):
            raise WireError("launch: got requirements that are no list")
        wanted = LaunchRequest(
            runtime_dir=_path(request["runtime_dir"]),
            requirements=tuple(_path(item) for item in requirements),
            socket_dir=_path(request["socket_dir"]),
            plain_mib=_integer(request["plain_mib"]),
        )
        return (await self._platform.launch(wanted)).describe()

    async def _list(self, request: JsonObject) -> JsonObject:
        return {"cvms": [cvm.describe() for cvm in self._platform.cvms()]}

    async def _kill(self, request: JsonObject) -> JsonObject:
        return (await self._platform.kill(_integer(request.get("pid")))).describe()

    async def _collateral(self, request: JsonObject) -> JsonObject:
        now = _integer(request.get("now"))
        if not 0 < now < 1 << 33:
            raise WireError(f"collateral: got time {now}, expected Unix seconds")
        return canonical.parse_object(self._platform.collateral(now).to_bytes(), limit=MAX_COLLATERAL_BYTES)


def _path(value: canonical.Json) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\x00" in value:
        raise WireError(f"launch: got path {str(value)[:80]!r}, expected an absolute one")
    return Path(value)


def _integer(value: canonical.Json) -> int:
    if type(value) is not int:
        raise WireError(f"got {type(value).__name__}, expected an integer")
    return value
