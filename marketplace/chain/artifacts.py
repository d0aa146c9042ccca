"""Contracts as this distribution ships them: ABI and bytecode, read from package data.

`scripts/build_artifacts` writes the files from the sources; whoever installs `cloister` needs no compiler.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from enclave_runtime.wire.eip712 import sol_fields
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.abicodec import AbiType, canonical_name, decode, encode, tuple_of
from marketplace.errors import NotFoundError

__all__ = ["Contract", "Entry", "EventEntry", "contract", "from_abi"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A function or an error: its name, selector, and the tuple types of what goes in and comes out."""

    name: str
    selector: bytes
    input_names: tuple[str, ...]
    inputs: AbiType
    outputs: AbiType

    def call(self, *values: Any) -> bytes:
        """Return calldata: selector and encoded arguments.

        Raises:
            WireError: a value outside its type.
        """
        return self.selector + encode(self.inputs, values)

    def read_call(self, data: bytes) -> dict[str, Any] | None:
        """Return the arguments in calldata of this function by name, None where it calls something else."""
        if data[:4] != self.selector:
            return None
        try:
            return self.arguments(data[4:])
        except WireError:
            return None

    def returned(self, data: bytes) -> Any:
        """Return what a call returned: one value, or a tuple of several.

        Raises:
            WireError: malformed data.
        """
        values = decode(self.outputs, data)
        return values[0] if len(values) == 1 else values

    def arguments(self, data: bytes) -> dict[str, Any]:
        """Return the arguments in calldata or revert data, by name, without the selector.

        Raises:
            WireError: malformed data.
        """
        return dict(zip(self.input_names, decode(self.inputs, data), strict=True))


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An event: its first topic, and the types of its indexed and other members."""

    name: str
    topic: bytes
    indexed_names: tuple[str, ...]
    indexed: tuple[AbiType, ...]
    data_names: tuple[str, ...]
    data: AbiType

    def read(self, topics: list[bytes], data: bytes) -> dict[str, Any]:
        """Return the members of one log by name.

        Raises:
            WireError: other topics than the event has, or malformed data.
        """
        if len(topics) != len(self.indexed) + 1 or topics[0] != self.topic:
            raise WireError(f"log: got other topics than {self.name} has")
        members = {
            name: decode(kind, topic)
            for name, kind, topic in zip(self.indexed_names, self.indexed, topics[1:], strict=True)
        }
        return members | dict(zip(self.data_names, decode(self.data, data), strict=True))


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract's interface and code.

    Attributes:
        bytecode: creation code; empty for interfaces and libraries.
        constructor: tuple type of the constructor's arguments.
    """

    name: str
    bytecode: bytes
    constructor: AbiType
    functions: dict[str, Entry]
    events: dict[str, EventEntry]
    errors: dict[bytes, Entry]

    def creation(self, *arguments: Any) -> bytes:
        """Return the code that deploys this contract with `arguments`."""
        return self.bytecode + encode(self.constructor, arguments)

    def event_of(self, topic: bytes) -> EventEntry | None:
        """Return the event whose first topic is `topic`, or None."""
        return next((event for event in self.events.values() if event.topic == topic), None)


@functools.cache
def contract(name: str) -> Contract:
    """Return the shipped contract called `name`.

    Raises:
        NotFoundError: no such artefact is shipped.
    """
    # Beside this file, not by importlib.resources: that import alone takes as long as all of ours.
    path = Path(__file__).with_name("abi") / f"{name}.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no contract artefact called {name}", hint="run scripts/build_artifacts, or reinstall cloister"
        ) from error
    return parse_contract(name, record["abi"], record["bytecode"] or "0x")


def parse_contract(name: str, abi: list[dict[str, Any]], bytecode: str) -> Contract:
    """Return the contract that an ABI in JSON describes."""
    made = [item for item in abi if item["type"] == "constructor"]
    return Contract(
        name=name,
        bytecode=bytes.fromhex(bytecode.removeprefix("0x")),
        constructor=tuple_of(made[0]["inputs"] if made else []),
        functions={item["name"]: _entry(item) for item in abi if item["type"] == "function"},
        events={item["name"]: _event(item) for item in abi if item["type"] == "event"},
        errors={entry.selector: entry for entry in map(_entry, abi_errors(abi))},
    )


def abi_errors(abi: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the custom errors of an ABI in JSON."""
    return [item for item in abi if item["type"] == "error"]


def from_abi(cls: type[T], values: Any) -> T:
    """Return the marked dataclass `cls` that decoded ABI values stand for, nested structs included."""
    members = {}
    for field, value in zip(sol_fields(cls), values, strict=True):
        if field.struct is not None:
            members[field.name] = (
                tuple(from_abi(field.struct, item) for item in value)
                if field.is_array
                else from_abi(field.struct, value)
            )
        else:
            members[field.name] = tuple(value) if field.is_array else value
    return cls(**members)


def _signature(item: dict[str, Any]) -> bytes:
    inner = ",".join(canonical_name(entry) for entry in item["inputs"])
    return keccak256(f"{item['name']}({inner})".encode())


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(
        name=item["name"],
        selector=_signature(item)[:4],
        input_names=tuple(entry["name"] or str(n) for n, entry in enumerate(item["inputs"])),
        inputs=tuple_of(item["inputs"]),
        outputs=tuple_of(item.get("outputs", [])),
    )


def _event(item: dict[str, Any]) -> EventEntry:
    indexed = [entry for entry in item["inputs"] if entry["indexed"]]
    plain = [entry for entry in item["inputs"] if not entry["indexed"]]
    return EventEntry(
        name=item["name"],
        topic=_signature(item),
        indexed_names=tuple(entry["name"] for entry in indexed),
        indexed=tuple_of(indexed).members,
        data_names=tuple(entry["name"] for entry in plain),
        data=tuple_of(plain),
    )
