"""The platform's side of a CVM's line: what it is, evidence of its devices, quotes (protocol 4.1, 4.4).

A request names 64 bytes or a nonce and nothing else: whose measurement is quoted, the platform knows by the
line that the request comes over.
"""

from __future__ import annotations

from collections.abc import Callable

from enclave_runtime.attestation.simulated.gpus import Gpus
from enclave_runtime.attestation.simulated.machine import Machine
from enclave_runtime.attestation.simulated.measure import Measured
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["answer"]


def answer(machine: Machine, measured: Measured, gpus: Gpus | None, request: JsonObject) -> JsonObject:
    """Return the answer to one request of a CVM; {"error": text} for what is none."""
    operations: dict[str, Callable[[], JsonObject]] = {
        "hello": lambda: _hello(machine, gpus, request),
        "quote": lambda: _quote(machine, measured, request),
        "devices": lambda: _devices(gpus, request),
    }
    operation = operations.get(str(request.get("op")))
    try:
        if operation is None:
            raise WireError(f"got no operation of {sorted(operations)}")
        return operation()
    except WireError as error:
        return {"error": str(error)}


def _hello(machine: Machine, gpus: Gpus | None, request: JsonObject) -> JsonObject:
    if request.keys() != {"op"}:
        raise WireError("got a greeting with more in it")
    return {"tee": machine.tee.value, "devices": gpus is not None}


def _quote(machine: Machine, measured: Measured, request: JsonObject) -> JsonObject:
    quoted = machine.quote(measured, _bytes(request, "report_data", 64))
    log = None if quoted.event_log is None else quoted.event_log.hex()
    return {"quote": quoted.quote.hex(), "event_log": log}


def _devices(gpus: Gpus | None, request: JsonObject) -> JsonObject:
    if gpus is None:
        raise WireError("got a request for devices, and this CVM has none")
    return {"evidence": gpus.evidence(_bytes(request, "nonce", 32)).hex()}


def _bytes(request: JsonObject, name: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(str(request.get(name)))
    except ValueError:
        value = b""
    if request.keys() != {"op", name} or len(value) != size:
        raise WireError(f"got no request over {size} bytes of {name}")
    return value
