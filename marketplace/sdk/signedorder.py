"""An order that its client signed, as one file for a sponsor and whoever carries it (protocol 6.1).

It holds no secret: all of it becomes public when the order is placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderPreimage, RuntimePolicy
from marketplace.errors import BadInputError, NotFoundError

__all__ = ["SignedOrder"]

MAX_FILE_BYTES = 256 << 10
_VERSION = 1
_MEMBERS = frozenset({"version", "preimage", "policy", "location", "client_signature", "payer_signature"})


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """Terms with all that they pin, where the packet lies, and who signed.

    Attributes:
        client_signature: over the order id, 65 bytes.
        payer_signature: likewise; empty before the payer signed, or where the payer is the client.
    """

    preimage: OrderPreimage
    policy: RuntimePolicy
    location: str
    client_signature: bytes
    payer_signature: bytes

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        value = {
            "version": _VERSION,
            "preimage": to_json(self.preimage),
            "policy": to_json(self.policy),
            "location": self.location,
            "client_signature": hex_of(self.client_signature),
            "payer_signature": hex_of(self.payer_signature),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(dump(value))
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> SignedOrder:
        """Return the order in a file.

        Raises:
            NotFoundError: no such file.
            BadInputError: it is no signed order.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NotFoundError(f"signed order {path}: {error.strerror}") from error
        try:
            value = parse_object(data, limit=MAX_FILE_BYTES)
            if set(value) != _MEMBERS or value["version"] != _VERSION:
                raise WireError("other members than a signed order has")
            return cls(
                from_json(OrderPreimage, value["preimage"]),
                from_json(RuntimePolicy, value["policy"]),
                str(value["location"]),
                bytes_from_hex(value["client_signature"]),
                bytes_from_hex(value["payer_signature"]),
            )
        except WireError as error:
            raise BadInputError(f"signed order {path.name}", str(error), "a file of `order sign`") from error
