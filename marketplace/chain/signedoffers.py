"""Offers by signature, beside listed ones (protocol 6.4): listing is free, each use is counted on chain."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferTerms, terms_hash
from enclave_runtime.wire.scalars import U32, U40, U64, Bytes32
from enclave_runtime.wire.signatures import recover_signer
from marketplace.chain.deployments import Deployment
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.offer import check_terms
from marketplace.domain.tight import encode_payees

__all__ = ["SignedBytes", "SignedOffer", "SignedOffers", "signed_offer_domain", "signer_of"]


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """What an owner signs (EIP-712, OfferRegistry domain); one declaration gives type string and encoding.

    Attributes:
        volume: how many orders may use it.
        expires_at: Unix time, in seconds, after which nobody can.
        epoch: the owner's; raising it cancels everything that was signed before.
        salt: 32 bytes; tells equal offers apart.
    """

    offer: U64
    version: U32
    terms_hash: Bytes32
    volume: U32
    expires_at: U40
    epoch: U64
    salt: Bytes32


@dataclass(frozen=True, slots=True)
class SignedBytes:
    """A signed offer as an acceptance carries it: volume, expiry, epoch, salt, payees; and the signature."""

    signed: bytes
    signature: bytes


def signed_offer_domain(deployment: Deployment) -> Domain:
    """Return the EIP-712 domain of signed offers."""
    return Domain("Cloister OfferRegistry", "1", deployment.chain_id, deployment.offer_registry)


class SignedOffers:
    """What an owner signs, and how it takes its word back."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the owner's key."""
        self.reader = reader
        self.writer = writer

    def owner_index(self, *, sent: Sent | None = None) -> int:
        """Return the owner's index, the upper half of its offers' ids; take one where it has none."""
        owner = self.writer.signer.address
        index: int = self.reader.node.view("OfferRegistry", "ownerIndexOf", owner)
        if not index:
            self.writer.call("OfferRegistry", "enroll", sent=sent)
            index = self.reader.node.view("OfferRegistry", "ownerIndexOf", owner)
        return index

    def sign(
        self, offer: int, version: int, terms: OfferTerms, *, volume: int, expires_at: int, salt: bytes
    ) -> SignedBytes:
        """Return an offer by signature: of a version that was never listed, or is open with these terms.

        Raises:
            BadInputError: terms that the registry would refuse.
        """
        check_terms(terms)
        epoch: int = self.reader.node.view("OfferRegistry", "epochOf", self.writer.signer.address)
        signed = SignedOffer(offer, version, terms_hash(terms), volume, expires_at, epoch, salt)
        signature = self.writer.signer.sign_typed(signed_offer_domain(self.reader.deployment), signed)
        return SignedBytes(_packed(signed) + encode_payees(terms.payees), signature)

    def cancel(
        self, offer: int, version: int, terms: OfferTerms, made: SignedBytes, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Cancel one signed offer, for good; None where nobody can use it any more.

        Raises:
            ContractRefusal: another's offer.
        """
        if not self.left(offer, version, terms, made):
            return None
        arguments = (offer, version, terms_hash(terms), made.signed)
        return self.writer.call("OfferRegistry", "cancelSigned", *arguments, sent=sent)

    def cancel_all(self, *, sent: Sent | None = None) -> Receipt:
        """Cancel every offer that this owner has signed so far."""
        return self.writer.call("OfferRegistry", "bumpEpoch", sent=sent)

    def left(self, offer: int, version: int, terms: OfferTerms, made: SignedBytes) -> int:
        """Return how many orders can still use a signed offer."""
        arguments = (offer, version, terms_hash(terms), made.signed)
        _, left = self.reader.node.view("OfferRegistry", "signedOffer", *arguments)
        return int(left)


def signer_of(
    deployment: Deployment, offer: int, version: int, terms: OfferTerms, made: SignedBytes
) -> bytes:
    """Return the address whose key signed an offer; a contract's signature (ERC-1271) recovers to nobody.

    Raises:
        WireError: no signed offer, or a signature that recovers no key.
    """
    if len(made.signed) < 49:
        raise WireError(f"signed offer: got {len(made.signed)} bytes, expected at least 49")
    volume, expires_at, epoch = (
        int.from_bytes(made.signed[at:end], "big") for at, end in ((0, 4), (4, 9), (9, 17))
    )
    salt = made.signed[17:49]
    signed = SignedOffer(offer, version, terms_hash(terms), volume, expires_at, epoch, salt)
    return recover_signer(typed_digest(signed_offer_domain(deployment), signed), made.signature)


def _packed(signed: SignedOffer) -> bytes:
    numbers = ((signed.volume, 4), (signed.expires_at, 5), (signed.epoch, 8))
    return b"".join(value.to_bytes(size, "big") for value, size in numbers) + signed.salt
