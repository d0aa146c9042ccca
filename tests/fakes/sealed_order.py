"""An order whose engine and datasets are really sealed, and the owners who grant their keys."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.header import HEADER_BYTES
from enclave_runtime.sealed.manifest import MEDIA_TYPE_TAR, Manifest, Release
from enclave_runtime.sealed.stream import seal
from enclave_runtime.sealed.tree import NO_SALT, Algorithm
from enclave_runtime.sealed.wrap import PrivateKey as HpkeKey
from enclave_runtime.sealed.wrap import generate_keypair, seal_to
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.grant import Grant, GrantConditions, SignedKeyRequest, sign_grant
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    Stop,
    Windows,
    config_digest,
    order_book_domain,
    order_id,
)
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from enclave_runtime.wire.signatures import address_of, secp256k1_sign

__all__ = ["OPERATOR", "WINDOWS", "SealedInput", "SealedOrder", "engine_and_data", "seal_input"]

OPERATOR = b"\x0a" * 20
WINDOWS = Windows(60, 60, 300, 300, 300, 3600, 600)
_DOMAIN: Domain = order_book_domain(31337, b"\x0b" * 20)
_TOKEN = b"\x70" * 20
_SEGMENT_BYTES = 1 << 10
"""Small, so that a small archive has several segments."""


@dataclass(frozen=True)
class SealedInput:
    """One owner's sealed content, offer and keys."""

    manifest: Manifest
    terms: OfferTerms
    stream: bytes
    key: bytes
    salt: bytes
    grant_key: PrivateKey

    @property
    def head(self) -> bytes:
        """Header and index, as the message `begin` takes them."""
        return self.stream[:HEADER_BYTES] + self.stream[self.manifest.sealed.layout.index_offset :]

    @property
    def segments(self) -> list[bytes]:
        """Every segment with its tag."""
        layout = self.manifest.sealed.layout
        return [
            self.stream[offset : offset + length]
            for offset, length in map(layout.segment_range, range(layout.segments))
        ]


def seal_input(
    kind: OfferKind,
    files: Mapping[str, bytes],
    entry_point: tuple[str, ...] = (),
    algorithm: Algorithm = Algorithm.BLAKE3,
) -> SealedInput:
    """Return `files` packed, sealed and offered by an owner of their own."""
    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        with ArchiveReader(name) as archive:
            return seal_bytes(kind, _read(archive), entry_point, algorithm)


def seal_bytes(
    kind: OfferKind,
    plaintext: bytes,
    entry_point: tuple[str, ...] = (),
    algorithm: Algorithm = Algorithm.BLAKE3,
) -> SealedInput:
    """Return bytes sealed and offered, whether or not they are an archive."""
    key, grant_key = os.urandom(32), PrivateKey()
    salt = NO_SALT if kind is OfferKind.ENGINE else os.urandom(32)
    out = io.BytesIO()
    info = seal(
        io.BytesIO(plaintext),
        out,
        len(plaintext),
        key,
        digest_salt=salt,
        entropy=os.urandom,
        algorithm=algorithm,
        segment_bytes=_SEGMENT_BYTES,
    )
    release = Release(None, address_of(grant_key))
    manifest = Manifest(kind, MEDIA_TYPE_TAR, info, entry_point, (), release)
    return SealedInput(manifest, offer_of(manifest), out.getvalue(), key, salt, grant_key)


def offer_of(manifest: Manifest, **changed: Any) -> OfferTerms:
    """Return the offer that lists `manifest`."""
    terms = OfferTerms(
        kind=int(manifest.kind),
        token=_TOKEN,
        price=Price(fixed_price=5),
        payees=(Payee(b"\x99" * 20, 10_000),),
        manifest_digest=manifest.digest(),
        content_digest=manifest.sealed.content_digest,
        grant_key=manifest.release.grant_key,
        royalty_bps=0,
        lineage=ZERO32,
        restrictions=ZERO32,
    )
    return replace(terms, **changed)


_COMPUTE = OfferTerms(
    kind=int(OfferKind.COMPUTE),
    token=_TOKEN,
    price=Price(per_hour=3600),
    payees=(Payee(b"\x98" * 20, 10_000),),
    manifest_digest=ZERO32,
    content_digest=ZERO32,
    grant_key=ZERO_ADDRESS,
    royalty_bps=0,
    lineage=ZERO32,
    restrictions=ZERO32,
)


@dataclass
class SealedOrder:
    """A client's order over sealed inputs. `changed` members of the terms are the test's choice."""

    inputs: tuple[SealedInput, ...]
    config: bytes = b'{"threads": 1}'
    config_salt: bytes = b"\x5a" * 32
    client: PrivateKey = field(default_factory=PrivateKey)
    result_key: HpkeKey = field(default_factory=lambda: generate_keypair(os.urandom))
    domain: Domain = _DOMAIN
    windows: Windows = WINDOWS
    changed: dict[str, Any] = field(default_factory=dict)

    @property
    def preimage(self) -> OrderPreimage:
        """What the order id commits to."""
        offers = tuple(item.terms for item in self.inputs)
        refs = tuple(InputRef(number, 1, terms_hash(item), ZERO32) for number, item in enumerate(offers, 2))
        terms = OrderTerms(
            client=address_of(self.client),
            payer=address_of(self.client),
            token=_TOKEN,
            compute=ComputeRef(1, 1, terms_hash(_COMPUTE)),
            inputs=refs,
            config_digest=config_digest(self.config, self.config_salt),
            result_key_digest=self.result_key.public_digest,
            access_key_digest=ZERO32,
            runtime_policy_digest=b"\x44" * 32,
            place_before=1_800_000_000,
            windows=self.windows,
            max_units=0,
            holdback=Holdback(),
            delivery=0,
            delivery_digest=ZERO32,
            max_fee_bps=500,
            deposit=10_000,
            salt=b"\x01" * 32,
        )
        return OrderPreimage(replace(terms, **self.changed), _COMPUTE, offers)

    @property
    def order_id(self) -> bytes:
        """The order's id."""
        return order_id(self.domain, self.preimage.terms)

    def admit(self) -> dict[str, Any]:
        """Return the members of an honest `admit`."""
        return {
            "domain": {
                "chain_id": str(self.domain.chain_id),
                "order_book": hex_of(self.domain.verifying_contract),
            },
            "order_id": hex_of(self.order_id),
            "preimage": to_json(self.preimage),
            "manifests": [item.manifest.to_bytes().decode() for item in self.inputs],
            "config": hex_of(self.config),
            "config_salt": hex_of(self.config_salt),
            "result_key": hex_of(self.result_key.public_bytes),
            "operator": hex_of(OPERATOR),
        }

    def grant(
        self,
        request: SignedKeyRequest,
        hpke: bytes,
        *,
        ttl_s: int = 3600,
        secret: bytes | None = None,
        signer: PrivateKey | None = None,
        seal_info: bytes | None = None,
        **changed: Any,
    ) -> bytes:
        """Return the owner's grant that answers `request`; everything else is lied about by the test."""
        asked = request.request
        owner = self.inputs[asked.input_index]
        honest = GrantConditions(
            order_id=asked.order_id,
            cvm_id=asked.cvm_id,
            input_index=asked.input_index,
            manifest_digest=asked.manifest_digest,
            engine_digest=asked.engine_digest,
            config_digest=asked.config_digest,
            result_key_digest=asked.result_key_digest,
            request_digest=request.digest,
            ttl_s=ttl_s,
        )
        conditions = replace(honest, **changed)
        info = conditions.to_bytes() if seal_info is None else seal_info
        sealed = seal_to(hpke, owner.key + owner.salt if secret is None else secret, info)
        grant: Grant = sign_grant(conditions, sealed, signer or owner.grant_key)
        return grant.to_bytes()

    def stop(self, client: PrivateKey | None = None) -> str:
        """Return a signed Stop, in hex."""
        digest = typed_digest(self.domain, Stop(self.order_id))
        return hex_of(secp256k1_sign(client or self.client, digest))


_ENGINE = b"""
import json, pathlib
config = json.loads(pathlib.Path("/config.json").read_text())
folders = sorted(pathlib.Path("/inputs").iterdir())
numbers = [int(line) for folder in folders for line in (folder / "numbers.txt").read_text().split()]
print("read", len(numbers), "numbers")
if config.get("fail"):
    raise SystemExit(7)
if config.get("sleep"):
    import time
    time.sleep(config["sleep"])
pathlib.Path("/output/sum.txt").write_text(str(sum(numbers)))
"""


def engine_and_data(config: bytes = b'{"threads":1}', **members: Any) -> SealedOrder:
    """Return an order of an engine that sums, and two owners' numbers: 0 to 1999, and 2000 to 2999."""
    engine = seal_input(OfferKind.ENGINE, {"main.py": _ENGINE}, ("python", "main.py"))
    first = seal_input(OfferKind.DATASET, {"numbers.txt": _numbers(0, 2000)})
    second = seal_input(OfferKind.DATASET, {"numbers.txt": _numbers(2000, 3000), "more/note": b"x"})
    return SealedOrder((engine, first, second), config=config, **members)


def _numbers(first: int, end: int) -> bytes:
    return "\n".join(map(str, range(first, end))).encode()


def _read(archive: ArchiveReader) -> bytes:
    data = bytearray(archive.length)
    filled = 0
    while filled < len(data):
        filled += archive.readinto(memoryview(data)[filled:])
    return bytes(data)
