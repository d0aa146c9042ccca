"""Real Nitro documents and CCA tokens of the record, each at its stated time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.cca.token import parse_token
from enclave_runtime.attestation.cca.verify import CcaVerifier, measurement_of
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.cca import CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.nitro.document import parse_document
from enclave_runtime.attestation.nitro.verify import NitroVerifier
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from tests.evidence import vectors

__all__ = ["CcaVector", "NitroVector", "as_parameters", "documents", "tokens"]

_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}


def _policy(roots: RootSet, measurement: bytes, **changes: Any) -> AppraisalPolicy:
    members = {
        "root_sets": frozenset({roots.id}),
        "measurements": frozenset({measurement}),
        "tcb_statuses": frozenset({"Unrated"}),
    }
    return AppraisalPolicy(**(members | changes))


@dataclass(frozen=True)
class NitroVector:
    """One document held against AWS's root at one time."""

    row: dict[str, Any]
    check: dict[str, Any]
    document: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.row['file']}@{self.check['now']}"

    @property
    def is_debug(self) -> bool:
        return "_dbg" in self.row["file"]

    def verification(self, **changes: Any) -> Callable[..., VerifiedEvidence]:
        """Return the verification, by a policy that the document's own facts satisfy, of it or of another."""
        roots = changes.pop("roots", RootSet.nitro())
        now, expected = changes.pop("now", self.check["now"]), changes.pop("report_data", None)
        document = parse_document(self.document)
        policy = _policy(roots, document.measurement(), **changes)
        wanted = (document.user_data or b"") if expected is None else expected

        def verify(quote: bytes = self.document) -> VerifiedEvidence:
            return NitroVerifier().verify(
                Evidence(TeeKind.NITRO, quote),
                Collateral(),
                roots=roots,
                policy=policy,
                expected_report_data=wanted,
                now=now,
            )

        return verify


@dataclass(frozen=True)
class CcaVector:
    """One token held against one platform key."""

    row: dict[str, Any]
    token: bytes = field(repr=False)
    spki: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.row["file"])

    @property
    def expected(self) -> str:
        return str(self.row["checks"][0]["result"])

    def verification(self, **changes: Any) -> Callable[..., VerifiedEvidence]:
        """Return the verification, by a policy that the token's own facts satisfy, of it or of another."""
        token = parse_token(self.token)
        spki, expected = changes.pop("spki", self.spki), changes.pop("report_data", None)
        roots = changes.pop("roots", RootSet.cca(spki))
        key = CcaPlatformKey(token.platform.instance_id, spki)
        policy = _policy(roots, measurement_of(token), **changes)
        collateral = Collateral(cca=CcaCollateral((key,)))
        wanted = token.realm.challenge if expected is None else expected

        def verify(quote: bytes = self.token) -> VerifiedEvidence:
            return CcaVerifier().verify(
                Evidence(TeeKind.CCA, quote),
                collateral,
                roots=roots,
                policy=policy,
                expected_report_data=wanted,
                now=0,
            )

        return verify

    def outcome(self) -> str:
        """Return "ok" or "reject"."""
        try:
            self.verification()()
        except (AttestationError, WireError):
            return "reject"
        return "ok"


def documents() -> list[NitroVector]:
    """Return every document at every time that the record has an outcome for."""
    return [
        NitroVector(row, check, sliced(row))
        for row in vectors.rows("nitro-attestation-doc")
        for check in row["checks"]
    ]


def sliced(row: dict[str, Any]) -> bytes:
    """Return the document in a capture that has something before and behind it."""
    parts = dict(part.split(":") for part in row["encoding"].split(","))
    begin, size = int(parts["offset"]), int(parts["length"])
    return (vectors.ROOT / row["file"]).read_bytes()[begin : begin + size]


def tokens() -> list[CcaVector]:
    """Return every token with the platform key that the record names, or with any where it names none."""
    rows = vectors.rows("cca-token")
    some = next((row["cpak"] for row in rows if row.get("cpak")), "")
    return [
        CcaVector(row, (vectors.ROOT / row["file"]).read_bytes(), _spki(row.get("cpak") or some))
        for row in rows
    ]


def as_parameters(items: list[Any]) -> list[Any]:
    """Return pytest parameters."""
    return [pytest.param(item, id=item.name) for item in items]


def _spki(file: str) -> bytes:
    key = next(_keys(json.loads((vectors.ROOT / file).read_bytes())))
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=="), "big") for name in ("x", "y"))
    numbers = ec.EllipticCurvePublicNumbers(x, y, _CURVES[key["crv"]])
    return numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        if "x" in value and "crv" in value:
            yield value
        for one in value.values():
            yield from _keys(one)
    if isinstance(value, list):
        for one in value:
            yield from _keys(one)
