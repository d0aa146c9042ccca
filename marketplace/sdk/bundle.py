"""The order's public bundle as its readers see it: parsed within limits, believed in nothing.

The agent publishes it (`provider/bundle.py`); clients open results with it, auditors verify orders.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.published import MAX_PUBLISHED
from enclave_runtime.wire.canonical import Json, JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.dsse import Envelope
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderPreimage, ReportSummary
from marketplace.domain.packet import OrderPacket

__all__ = ["MAX_BUNDLE_BYTES", "Certified", "OrderBundle", "Signed"]

MAX_BUNDLE_BYTES = 2 << 20
_MAX_CERTIFIERS = 16
_MAX_URI_CHARS = 2048
_MEMBERS = frozenset(
    {"version", "order_id", "preimage", "packet", "manifests", "certified", "integrity", "report"}
    | {"wiped", "start_signature", "result", "key_envelope"}
)

_PUBLISHED = "published"
"""Member of bundles whose engine published checkpoints; absent in others."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement in its envelope, the summary that goes with it, and the signer's signature."""

    envelope: Envelope
    summary: ReportSummary
    signature: bytes

    def to_json(self) -> JsonObject:
        """Return the JSON object that a bundle carries."""
        return {
            "statement": json.loads(self.envelope.to_bytes()),
            "summary": dict(to_json(self.summary)),
            "signature": hex_of(self.signature),
        }


@dataclass(frozen=True, slots=True)
class Certified:
    """Evidence that a certifier saw, its certificate, and its signature."""

    bundle: EvidenceBundle
    certificate: CvmCertificate
    signature: bytes

    def to_json(self) -> JsonObject:
        """Return the JSON object that a bundle carries."""
        return {
            "bundle": json.loads(self.bundle.to_bytes()),
            "certificate": dict(to_json(self.certificate)),
            "signature": hex_of(self.signature),
        }


@dataclass(frozen=True, slots=True)
class OrderBundle:
    """Everything public about one order but the chain's own word; parts that came to nothing are None.

    Attributes:
        published: where each checkpoint lies that the engine published while it ran, in their order; empty
            text for one that the agent could not have.
    """

    order_id: bytes
    preimage: OrderPreimage
    packet: OrderPacket
    manifests: tuple[Manifest, ...]
    certified: tuple[Certified, ...]
    integrity: Signed | None
    report: Signed | None
    wiped: Envelope | None
    start_signature: bytes | None
    result: str | None
    key_envelope: bytes | None
    published: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the JSON object that `from_bytes` reads."""
        return {
            "version": 1,
            "order_id": hex_of(self.order_id),
            "preimage": dict(to_json(self.preimage)),
            "packet": json.loads(self.packet.to_bytes()),
            "manifests": [json.loads(one.to_bytes()) for one in self.manifests],
            "certified": [one.to_json() for one in self.certified],
            "integrity": None if self.integrity is None else self.integrity.to_json(),
            "report": None if self.report is None else self.report.to_json(),
            "wiped": None if self.wiped is None else json.loads(self.wiped.to_bytes()),
            "start_signature": _hex_or_none(self.start_signature),
            "result": self.result,
            "key_envelope": _hex_or_none(self.key_envelope),
            **({_PUBLISHED: list(self.published)} if self.published else {}),
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> OrderBundle:
        """Return the bundle in `data`.

        Raises:
            WireError: oversize, not canonical, or members that no bundle has.
        """
        value = parse_object(data, limit=MAX_BUNDLE_BYTES)
        published = _list(value.pop(_PUBLISHED, []), MAX_PUBLISHED)
        if set(value) != _MEMBERS or value["version"] != 1:
            raise WireError("order bundle: got other members or another version than 1")
        preimage = from_json(OrderPreimage, value["preimage"])
        if not 1 <= len(preimage.inputs) == len(preimage.terms.inputs):
            raise WireError("order bundle: got another number of offers than the terms have inputs, or none")
        return cls(
            order_id=bytes_from_hex(value["order_id"], 32),
            preimage=preimage,
            packet=OrderPacket.from_bytes(dump(value["packet"])),
            manifests=tuple(Manifest.from_bytes(dump(one)) for one in _list(value["manifests"], 16)),
            certified=tuple(
                _certified(one)
                for one in _list([] if value["certified"] is None else value["certified"], _MAX_CERTIFIERS)
            ),
            integrity=_signed(value["integrity"]),
            report=_signed(value["report"]),
            wiped=None if value["wiped"] is None else Envelope.from_bytes(dump(value["wiped"])),
            start_signature=_maybe_hex(value["start_signature"]),
            result=_maybe_text(value["result"]),
            key_envelope=_maybe_hex(value["key_envelope"]),
            published=tuple(_maybe_text(one) or "" for one in published),
        )


def _list(value: Json, most: int) -> list[Json]:
    if not isinstance(value, list) or len(value) > most:
        raise WireError(f"order bundle: got something else than a list of at most {most}")
    return value


def _certified(value: Json) -> Certified:
    members = _object(value, {"bundle", "certificate", "signature"})
    return Certified(
        EvidenceBundle.from_bytes(dump(members["bundle"])),
        from_json(CvmCertificate, members["certificate"]),
        bytes_from_hex(members["signature"], 65),
    )


def _signed(value: Json) -> Signed | None:
    if value is None:
        return None
    members = _object(value, {"statement", "summary", "signature"})
    return Signed(
        Envelope.from_bytes(dump(members["statement"])),
        from_json(ReportSummary, members["summary"]),
        bytes_from_hex(members["signature"], 65),
    )


def _object(value: Json, names: set[str]) -> JsonObject:
    if not isinstance(value, dict) or set(value) != names:
        raise WireError(f"order bundle: got something else than an object of {sorted(names)}")
    return value


def _maybe_text(value: Json) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_URI_CHARS):
        raise WireError("order bundle: got something else than a location")
    return value


def _hex_or_none(value: bytes | None) -> str | None:
    return None if value is None else hex_of(value)


def _maybe_hex(value: Json) -> bytes | None:
    return None if value is None else bytes_from_hex(value)
