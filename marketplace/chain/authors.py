"""What an owner of content or compute does on chain: list, add versions, close, retire (protocol 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.offers import OfferKind, OfferTerms, terms_hash
from enclave_runtime.wire.orders import OrderPreimage, ReportSummary
from marketplace.chain.reader import Reader
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.reports import report_of
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.offer import ListedOffer, check_terms, next_serial
from marketplace.domain.tight import encode_head, encode_heads, encode_order, encode_payees

__all__ = ["Authors", "Derivation", "Lineage", "listing_bytes"]

_TRIES: Final = 3
"""Another process of the same owner may take a serial between the look and the call."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a model came about: a completed order of the owner's, and the report that its CVM signed."""

    preimage: OrderPreimage
    report: ReportSummary
    signature: bytes

    def to_abi(self, reader: Reader) -> tuple[object, ...]:
        """Return the registry's struct of it, with the parents' payees and tables."""
        refs = self.preimage.terms.inputs
        listed = [reader.get_offer(ref.offer, ref.version) for ref in refs]
        return (
            encode_order(self.preimage.terms),
            encode_heads(self.preimage),
            [encode_payees(offer.payees) for offer in self.preimage.inputs],
            [offer.lineage_proof for offer in listed],
            report_of(self.report, self.signature),
        )


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the registry makes of a derivation: the terms' word, and who is owed what."""

    order_id: bytes
    lineage: bytes
    table: bytes


class Authors:
    """One owner's offers. Listing the same terms again finds the offer that is there."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the owner's key."""
        self.reader = reader
        self.writer = writer

    # ------------------------------------------------------------------------------------------- listing
    def list_offer(
        self,
        terms: OfferTerms,
        manifest_uri: str,
        *,
        derivation: Derivation | None = None,
        sent: Sent | None = None,
    ) -> ListedOffer:
        """Return the new offer, or the caller's own open one with exactly these terms.

        Args:
            manifest_uri: where the sealed manifest lies: a hint.
            derivation: of a model whose terms name a lineage.
        Raises:
            BadInputError: terms that the registry refuses.
            ChainError: refused, or no usable answer.
        """
        check_terms(terms)
        known = self.find(terms)
        if known is not None:
            return known
        proof = () if derivation is None else (derivation.to_abi(self.reader),)
        function = "list" if derivation is None else "listDerived"
        for left in reversed(range(_TRIES)):
            arguments = (self.free_serial(OfferKind(terms.kind)), listing_bytes(terms, manifest_uri))
            try:
                receipt = self.writer.call("OfferRegistry", function, *arguments, *proof, sent=sent)
                return self._listed(receipt)
            except ContractRefusal as error:
                if error.name != "OfferRegistry_VersionUsed" or not left:
                    raise
        raise AssertionError("unreachable")  # pragma: no cover - the last try returns or raises

    def add_version(
        self,
        offer: int,
        terms: OfferTerms,
        manifest_uri: str,
        *,
        derivation: Derivation | None = None,
        sent: Sent | None = None,
    ) -> ListedOffer:
        """Return the next version of an offer; earlier ones stay for sale until they are closed.

        Raises:
            BadInputError: terms that the registry refuses.
            ContractRefusal: another's offer, or another kind.
        """
        check_terms(terms)
        newest = self.reader.get_offer(offer)
        if newest.active and newest.terms_hash == terms_hash(terms):
            return newest
        proof = () if derivation is None else (derivation.to_abi(self.reader),)
        function = "addVersion" if derivation is None else "addDerivedVersion"
        arguments = (offer, newest.latest + 1, listing_bytes(terms, manifest_uri), *proof)
        return self._listed(self.writer.call("OfferRegistry", function, *arguments, sent=sent))

    def derive(self, derivation: Derivation) -> Lineage:
        """Return the lineage that a model's terms have to name, and what its parents are owed.

        Raises:
            ContractRefusal: the order was not completed with this report, or a parent differs.
        """
        found = self.reader.node.view("OfferRegistry", "deriveRoyalties", derivation.to_abi(self.reader))
        return Lineage(*found)

    # ------------------------------------------------------------------------------------------- closing
    def close(self, offer: int, version: int, *, sent: Sent | None = None) -> Receipt | None:
        """Take one version from sale until it is reopened; None where it is not for sale.

        Raises:
            ContractRefusal: another's offer.
        """
        listed = self.reader.get_offer(offer, version)
        if not listed.active:
            return None
        return self.writer.call("OfferRegistry", "close", offer, version, listed.terms_hash, sent=sent)

    def reopen(self, offer: int, version: int, *, sent: Sent | None = None) -> Receipt | None:
        """Put a closed version on sale again; None where it is for sale.

        Raises:
            ContractRefusal: retired, or another's.
        """
        listed = self.reader.get_offer(offer, version)
        if listed.active:
            return None
        return self.writer.call("OfferRegistry", "reopen", offer, version, listed.terms_hash, sent=sent)

    def retire(self, offer: int, version: int, *, sent: Sent | None = None) -> Receipt | None:
        """Take one version from sale, for good; None where it is retired already.

        Raises:
            ContractRefusal: unknown, or another's.
        """
        if self.reader.get_offer(offer, version).retired:
            return None
        return self.writer.call("OfferRegistry", "retire", offer, version, sent=sent)

    # ------------------------------------------------------------------------------------------- looking
    def find(self, terms: OfferTerms) -> ListedOffer | None:
        """Return the owner's open offer whose newest version has exactly these terms, or None."""
        wanted = terms_hash(terms)
        mine = self.reader.list_offers(owner=self.writer.signer.address)
        return next((offer for offer in mine if offer.active and offer.terms_hash == wanted), None)

    def free_serial(self, kind: OfferKind) -> int:
        """Return the lowest serial of a kind above all that this owner has listed."""
        used = self.reader.catalog.listed(owner=self.writer.signer.address)
        return next_serial(kind, (offer for offer, _ in used))

    def _listed(self, receipt: Receipt) -> ListedOffer:
        members = self.writer.event(receipt, "OfferRegistry", "OfferListed")
        return self.reader.get_offer(members["offer"], members["version"])


def listing_bytes(terms: OfferTerms, manifest_uri: str) -> bytes:
    """Return terms as a listing carries them: token, head, payees, and where the manifest may be found."""
    return terms.token + encode_head(terms) + encode_payees(terms.payees) + manifest_uri.encode()
