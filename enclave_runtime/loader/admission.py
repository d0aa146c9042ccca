"""Whether this CVM serves an order: every digest checked, from the order id down (protocol section 7(1)).

The loader walks order id -> terms hash -> manifest digest -> content digest itself; nothing that the host or
a grant says replaces a step of that path. A refusal here is of a message: nothing was decrypted or signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.loader.messages import Admit
from enclave_runtime.sealed.header import HEADER_BYTES, TAG_BYTES
from enclave_runtime.sealed.manifest import MEDIA_TYPE_TAR, Manifest, manifest_digest
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.wrap import check_public_key, public_digest
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.frames import MAX_BODY_BYTES
from enclave_runtime.wire.offers import OfferKind, OfferTerms, terms_hash
from enclave_runtime.wire.orders import (
    InputRef,
    OrderPreimage,
    config_digest,
    inputs_root,
    order_book_domain,
    order_id,
)
from enclave_runtime.wire.report import MAX_INPUTS, InputLine
from enclave_runtime.wire.scalars import ZERO32

__all__ = ["AdmittedInput", "AdmittedOrder", "admit"]

_NAMES: Final = {kind.value: kind.name for kind in OfferKind}


@dataclass(frozen=True, slots=True)
class AdmittedInput:
    """One input whose manifest is the one that the order pins."""

    index: int
    ref: InputRef
    terms: OfferTerms
    manifest: Manifest

    @property
    def line(self) -> InputLine:
        """Return what reports say of this input."""
        return InputLine(
            offer=self.ref.offer,
            version=self.ref.version,
            kind=OfferKind(self.terms.kind),
            terms_hash=self.ref.terms_hash,
            manifest_digest=self.terms.manifest_digest,
            content_digest=self.terms.content_digest,
        )


@dataclass(frozen=True, slots=True)
class AdmittedOrder:
    """Only `admit` makes one; holding one is the proof that every digest was compared."""

    domain: Domain
    order_id: bytes
    preimage: OrderPreimage
    inputs: tuple[AdmittedInput, ...]
    inputs_root: bytes
    config: bytes
    result_key: bytes
    operator: bytes

    @property
    def engine(self) -> AdmittedInput:
        """Return the engine: always the first input."""
        return self.inputs[0]

    @property
    def output_algorithm(self) -> Algorithm:
        """Return the hash that the order's own output is sealed under: SHA-256 as soon as one input is.

        Whoever has to keep to the FIPS profile then opens what came of it, and everybody else can too.
        """
        hashes = {item.manifest.sealed.algorithm for item in self.inputs}
        return Algorithm.SHA256 if Algorithm.SHA256 in hashes else Algorithm.BLAKE3

    @property
    def lines(self) -> tuple[InputLine, ...]:
        """Return what reports say of the inputs."""
        return tuple(item.line for item in self.inputs)


def admit(message: Admit, *, plaintext_bytes: int) -> AdmittedOrder:
    """Return the order that `message` describes, or refuse it.

    Args:
        plaintext_bytes: room for plaintext in this CVM, in bytes.
    Raises:
        RefusedError: names the first check that failed.
    """
    domain = order_book_domain(message.domain.chain_id, message.domain.order_book)
    preimage, terms = message.preimage, message.preimage.terms
    # (1) The terms hash to the id by which everybody names the order.
    _same("order-id", order_id(domain, terms), message.order_id)
    # (2) Every preimage of offer terms hashes to what the order pins.
    _count("input-count", len(terms.inputs), range(1, MAX_INPUTS + 1))
    _count("input-count", len(preimage.inputs), range(len(terms.inputs), len(terms.inputs) + 1))
    _same("terms-hash", terms_hash(preimage.compute), terms.compute.terms_hash, " of the compute offer")
    for index, (ref, offer) in enumerate(zip(terms.inputs, preimage.inputs, strict=True)):
        _same("terms-hash", terms_hash(offer), ref.terms_hash, f" of input {index}")
    # (3) One compute offer; exactly one engine, first; nothing twice.
    _check_kinds(preimage)
    # (4) Every manifest is the one in its offer's terms, and says what they say.
    _count("manifest-count", len(message.manifests), range(len(terms.inputs), len(terms.inputs) + 1))
    inputs = tuple(
        _input(index, ref, offer, text.encode())
        for index, (ref, offer, text) in enumerate(
            zip(terms.inputs, preimage.inputs, message.manifests, strict=True)
        )
    )
    # (5) The configuration and the result key are the client's.
    _same("config-digest", config_digest(message.config, message.config_salt), terms.config_digest)
    try:
        _same("result-key-digest", public_digest(message.result_key), terms.result_key_digest)
        # Now, not when the report is due: a key that nothing can be sealed to would leave the work unpaid.
        check_public_key(message.result_key)
    except WireError as error:
        raise RefusedError("result-key", error, "a hybrid public key") from None
    # (6) The order asks for nothing that this runtime does not do.
    _check_abilities(preimage, inputs, plaintext_bytes)
    root = inputs_root(terms.inputs)
    named = (domain, message.order_id, preimage)
    return AdmittedOrder(*named, inputs, root, message.config, message.result_key, message.operator)


def _check_kinds(preimage: OrderPreimage) -> None:
    if preimage.compute.kind != OfferKind.COMPUTE:
        raise RefusedError("compute-kind", _NAMES.get(preimage.compute.kind, "unknown"), "COMPUTE")
    for index, offer in enumerate(preimage.inputs):
        if (offer.kind == OfferKind.ENGINE) is not (index == 0):
            got = f"{_NAMES.get(offer.kind, 'unknown')} as input {index}"
            raise RefusedError("engine-first", got, "one ENGINE, as input 0")
        if index and offer.kind not in (OfferKind.MODEL, OfferKind.DATASET):
            got = f"{_NAMES.get(offer.kind, 'unknown')} as input {index}"
            raise RefusedError("input-kind", got, "MODEL or DATASET")
    offers = [ref.offer for ref in preimage.terms.inputs]
    if len(set(offers)) != len(offers):
        raise RefusedError("duplicate-input", "an offer twice", "every offer once")


def _input(index: int, ref: InputRef, offer: OfferTerms, data: bytes) -> AdmittedInput:
    where = f" of input {index}"
    _same("manifest-digest", manifest_digest(data), offer.manifest_digest, where)
    try:
        manifest = Manifest.from_bytes(data)
    except WireError as error:
        raise RefusedError("manifest-form", f"{error}{where}", "a manifest") from None
    if manifest.kind != offer.kind:
        raise RefusedError("manifest-kind", f"{manifest.kind.name}{where}", _NAMES[offer.kind])
    _same("manifest-content", manifest.sealed.content_digest, offer.content_digest, where)
    _same("manifest-grant-key", manifest.release.grant_key, offer.grant_key, where)
    if manifest.media_type != MEDIA_TYPE_TAR:
        raise RefusedError("manifest-media-type", f"{manifest.media_type}{where}", MEDIA_TYPE_TAR)
    return AdmittedInput(index, ref, offer, manifest)


def _check_abilities(
    preimage: OrderPreimage, inputs: tuple[AdmittedInput, ...], plaintext_bytes: int
) -> None:
    terms = preimage.terms
    _same("access-key", terms.access_key_digest, ZERO32)
    if terms.delivery:
        raise RefusedError("delivery", f"kind {terms.delivery}", "0, the host's store")
    for item in inputs:
        sealed = item.manifest.sealed
        for what, size in (
            ("a segment", sealed.segment_bytes + TAG_BYTES),
            ("header and index", HEADER_BYTES + sealed.layout.index_bytes),
        ):
            if size > MAX_BODY_BYTES:
                got = f"{what} of {size} bytes of input {item.index}"
                raise RefusedError("segment-size", got, f"at most {MAX_BODY_BYTES}")
    sizes = [item.manifest.sealed.plaintext_bytes for item in inputs]
    # While one archive is unpacked, it is there twice.
    needed = sum(sizes) + max(sizes)
    if needed > plaintext_bytes:
        raise RefusedError("input-size", f"inputs that need {needed} bytes", f"at most {plaintext_bytes}")


def _same(step: str, got: bytes, expected: bytes, where: str = "") -> None:
    if got != expected:
        raise RefusedError(step, f"{hex_of(got)}{where}", hex_of(expected))


def _count(step: str, got: int, expected: range) -> None:
    if got not in expected:
        words = f"{expected[0]}" if len(expected) == 1 else f"{expected[0]} to {expected[-1]}"
        raise RefusedError(step, got, words)
