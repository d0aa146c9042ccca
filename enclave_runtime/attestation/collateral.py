"""Intel's signed statements about its platforms, passed in from outside (docs/protocol.md section 4.2).

The JSON shape is the one that Intel's tools and caches exchange (`QuoteCollateralV3`). It is data: each
object is believed for its signature, inside its dates, and never for where it came from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_COLLATERAL_BYTES", "Collateral"]

MAX_COLLATERAL_BYTES = 1 << 18
"""Real collateral is 14 to 25 kB; the largest certificate revocation list seen was 7 kB."""

_HEX_FIELDS = frozenset({"root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"})


@dataclass(frozen=True, slots=True)
class Collateral:
    """Issuer chains in PEM, revocation lists in DER, TCB info and QE identity as signed (JSON text).

    A certificate chain of the quote itself that some caches add is left out on purpose: the chain
    inside the quote is the one that gets verified.
    """

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Collateral:
        """Return the collateral in `data`, JSON in any layout.

        Raises:
            WireError: oversize, not a JSON object, a duplicate, missing or mistyped field.
        """
        if len(data) > MAX_COLLATERAL_BYTES:
            raise WireError(f"collateral: got {len(data)} bytes, expected at most {MAX_COLLATERAL_BYTES}")
        try:
            value = json.loads(data, object_pairs_hook=_no_duplicates)
        except WireError:
            raise
        except (ValueError, RecursionError) as error:
            raise WireError("collateral: got bytes that are not JSON") from error
        if not isinstance(value, dict):
            raise WireError(f"collateral: got {type(value).__name__}, expected an object")
        return cls(**{name: _field(value, name) for name in _NAMES})

    def to_bytes(self) -> bytes:
        """Return canonical JSON of the same shape, binary fields in hex."""
        return canonical.dump({name: _text(getattr(self, name)) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Collateral))


def _text(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value


def _field(value: dict[str, Any], name: str) -> Any:
    text = value.get(name)
    if not isinstance(text, str):
        raise WireError(f"collateral: got {type(text).__name__} for {name}, expected a string")
    if name not in _HEX_FIELDS:
        return text
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise WireError(f"collateral: got something else than hex for {name}") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise WireError("collateral: got a duplicate key")
    return value
