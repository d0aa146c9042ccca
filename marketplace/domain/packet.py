"""The order packet: what a client hands to the provider beside the terms on chain (protocol section 6.1).

The terms carry only digests of these; the packet lies in a blob store and its location is an untrusted
hint. Whoever reads it checks it against the terms, and the trusted loader does so again. It holds no
secret: an engine's configuration is visible to the provider (docs/threat-model.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import OrderTerms, RuntimePolicy, config_digest, runtime_policy_digest

__all__ = ["MAX_CONFIG_BYTES", "MAX_PACKET_BYTES", "OrderPacket"]

MAX_CONFIG_BYTES = 64 << 10
MAX_PACKET_BYTES = 256 << 10
_VERSION = 1


@dataclass(frozen=True, slots=True)
class OrderPacket:
    """Configuration with its salt, the client's result public key, and the runtime policy's preimage."""

    config: bytes
    config_salt: bytes
    result_key: bytes
    policy: RuntimePolicy

    def to_bytes(self) -> bytes:
        """Return the packet as canonical JSON."""
        return dump(
            {
                "version": _VERSION,
                "config": hex_of(self.config),
                "config_salt": hex_of(self.config_salt),
                "result_key": hex_of(self.result_key),
                "policy": to_json(self.policy),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> OrderPacket:
        """Return the packet in `data`.

        Raises:
            WireError: oversize, another version, or malformed members.
        """
        value = parse_object(data, limit=MAX_PACKET_BYTES)
        if set(value) != {"version", "config", "config_salt", "result_key", "policy"}:
            raise WireError("order packet: got other members than a packet has")
        if value["version"] != _VERSION:
            raise WireError(f"order packet: got version {value['version']}, expected {_VERSION}")
        config = bytes_from_hex(value["config"])
        if len(config) > MAX_CONFIG_BYTES:
            raise WireError(f"order packet: got {len(config)} bytes of configuration, expected <= 64 KiB")
        salt = bytes_from_hex(value["config_salt"], 32)
        return cls(
            config, salt, bytes_from_hex(value["result_key"]), from_json(RuntimePolicy, value["policy"])
        )

    def check(self, terms: OrderTerms) -> None:
        """Compare the packet with the digests in `terms`.

        Raises:
            WireError: names the first digest that differs.
        """
        pairs = {
            "config": (config_digest(self.config, self.config_salt), terms.config_digest),
            "result key": (sha256(self.result_key), terms.result_key_digest),
            "runtime policy": (runtime_policy_digest(self.policy), terms.runtime_policy_digest),
        }
        for name, (got, expected) in pairs.items():
            if got != expected:
                raise WireError(f"order packet: {name}: got {hex_of(got)}, expected {hex_of(expected)}")
