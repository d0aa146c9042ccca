"""An order's verification in one file, and its walk without any network (docs/protocol.md section 8).

Canonical JSON. What a reader believes is never taken from it: the root set, the measurements and whether a
SIMULATED root counts come from the reader's own settings; collateral is believed for the vendor's signature.
Its chain facts are the exporter's word, and the verdict says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from enclave_runtime.attestation.collateral import MAX_COLLATERAL_BYTES, Collateral
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk.bundle import MAX_BUNDLE_BYTES, OrderBundle
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.settings import Trust
from marketplace.sdk.trust import anchor_with, root_set_of
from marketplace.sdk.verify import Held, Verdict, verify_order

__all__ = ["MAX_EXPORT_BYTES", "Export", "verify_export"]

MAX_EXPORT_BYTES = MAX_BUNDLE_BYTES + MAX_COLLATERAL_BYTES + (1 << 20)
_VERSION = 1
_MEMBERS = frozenset({"version", "chain", "bundle", "collateral", "root_set", "result_digest"})


@dataclass(frozen=True, slots=True)
class Export:
    """The parts of an export.

    Attributes:
        root_set: the exporter's, to be read by people; verification never uses it.
        result_digest: ciphertext digest of the sealed result as the exporter fetched it, or None.
    """

    facts: ChainFacts
    bundle: OrderBundle
    collateral: Collateral
    root_set: str
    result_digest: bytes | None

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        return dump(
            {
                "version": _VERSION,
                "chain": self.facts.to_json(),
                "bundle": self.bundle.to_json(),
                "collateral": json.loads(self.collateral.to_bytes()),
                "root_set": self.root_set,
                "result_digest": None if self.result_digest is None else hex_of(self.result_digest),
            }
        )

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(self.to_bytes())
        aside.replace(path)

    def own_digests(self, sources: Mapping[int, Path]) -> dict[int, bytes]:
        """Return input index -> content digest of the reader's own copies; engines only, whose salt is bare.

        Raises:
            BadInputError: no such input, or one whose digest only its owner can make.
        """
        from marketplace.sdk.author import as_sealed, digest

        found = {}
        for index, path in sources.items():
            if not 0 <= index < len(self.bundle.manifests):
                raise BadInputError("source", f"input {index}", f"one of {len(self.bundle.manifests)} inputs")
            manifest = self.bundle.manifests[index]
            if manifest.kind is not OfferKind.ENGINE:
                got = f"input {index}, a {manifest.kind.name.lower()}"
                raise BadInputError("source", got, "an engine: other digests are salted by their owner")
            found[index] = digest(path, manifest.kind, **as_sealed(manifest.sealed))
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> Export:
        """Return the export in `data`.

        Raises:
            WireError: oversize, not canonical, another version, or malformed parts.
        """
        value = parse_object(data, limit=MAX_EXPORT_BYTES)
        if set(value) != _MEMBERS or value["version"] != _VERSION:
            raise WireError(f"export: got other members or another version than {_VERSION}")
        digest = value["result_digest"]
        return cls(
            ChainFacts.from_json(value["chain"]),
            OrderBundle.from_bytes(dump(value["bundle"])),
            Collateral.from_bytes(dump(value["collateral"])),
            str(value["root_set"]),
            None if digest is None else bytes_from_hex(digest, 32),
        )

    @classmethod
    def load(cls, path: Path) -> Export:
        """Return the export in a file.

        Raises:
            NotFoundError: no such file.
            WireError: as `from_bytes`.
        """
        try:
            with path.open("rb") as file:
                return cls.from_bytes(file.read(MAX_EXPORT_BYTES + 1))
        except OSError as error:
            raise NotFoundError(f"export {path}: {error.strerror}") from error


def verify_export(
    path: Path,
    trust: Trust,
    content: Mapping[int, bytes] | None = None,
    *,
    collateral: Collateral | None = None,
) -> Verdict:
    """Walk the numbered checks over an exported order: no network, no clock, no store.

    Args:
        trust: the reader's own beliefs.
        content: input index -> content digest that the reader computed from its own copy.
        collateral: the reader's own; None takes the file's, which the vendor signed.
    Raises:
        NotFoundError, WireError: no export there.
        BadInputError: the reader believes nothing, or a SIMULATED root without saying so.
    """
    export = Export.load(path)
    anchor = anchor_with(trust, root_set_of(trust), collateral or export.collateral)
    for index in content or {}:
        if not 0 <= index < len(export.bundle.preimage.inputs):
            raise BadInputError(
                "source", f"input {index}", f"one of {len(export.bundle.preimage.inputs)} inputs"
            )
    facts = replace(export.facts, source=f"export {path.name}: by the exporter's word, {export.facts.source}")
    return verify_order(export.bundle, facts, anchor, Held(content or {}, export.result_digest))
