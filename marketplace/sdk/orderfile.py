"""What a client keeps of an order that it placed: the preimage, so that nothing need be searched for later.

It holds no secret; the result's private key is in the keystore under `result/<order id>`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderPreimage

__all__ = ["OrderFile", "result_key_name"]

_VERSION = 1


def result_key_name(order_id: bytes) -> str:
    """Return the name under which the keystore holds the private key of an order's result."""
    return f"result/{order_id.hex()}"


@dataclass(frozen=True, slots=True)
class OrderFile:
    """One placed order: its preimage, and where its packet lies."""

    order_id: bytes
    preimage: OrderPreimage
    location: str

    def save(self, folder: Path) -> Path:
        """Write the file, whole or not at all, and return its path."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path_of(folder, self.order_id)
        value = {
            "version": _VERSION,
            "order_id": hex_of(self.order_id),
            "preimage": to_json(self.preimage),
            "location": self.location,
        }
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_bytes(dump(value))
        aside.replace(path)
        return path

    @classmethod
    def load(cls, folder: Path, order_id: bytes) -> OrderFile | None:
        """Return the file of an order, or None where this client never placed it.

        Raises:
            WireError: malformed, or of another order.
        """
        try:
            value = parse_object(path_of(folder, order_id).read_bytes())
        except FileNotFoundError:
            return None
        if set(value) != {"version", "order_id", "preimage", "location"} or value["version"] != _VERSION:
            raise WireError("order file: got other members or another version than 1")
        if bytes_from_hex(value["order_id"], 32) != order_id:
            raise WireError(f"order file: got {value['order_id']}, expected {hex_of(order_id)}")
        return cls(order_id, from_json(OrderPreimage, value["preimage"]), str(value["location"]))

    @staticmethod
    def forget(folder: Path, order_id: bytes) -> None:
        """Remove the file of an order that was never placed."""
        path_of(folder, order_id).unlink(missing_ok=True)


def path_of(folder: Path, order_id: bytes) -> Path:
    """Return where the file of an order lies."""
    return folder / f"{order_id.hex()}.json"
