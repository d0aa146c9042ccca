"""What an owner of content or compute does on chain: list, add versions, open, close (protocol section 2)."""

from __future__ import annotations

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.offers import OfferTerms, terms_hash
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.offer import ListedOffer, check_terms

__all__ = ["Authors"]


class Authors:
    """One owner's offers. Listing the same terms again finds the offer that is there."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the owner's key."""
        self.reader = reader
        self.writer = writer

    def list_offer(self, terms: OfferTerms, manifest_uri: str, *, sent: Sent | None = None) -> ListedOffer:
        """Return the new offer, or the caller's own open one with exactly these terms.

        Args:
            manifest_uri: where the sealed manifest lies: a hint.
        Raises:
            BadInputError: terms that the registry refuses.
            ChainError: refused, or no usable answer.
        """
        check_terms(terms)
        known = self.find(terms)
        if known is not None:
            return known
        receipt = self.writer.call("OfferRegistry", "list", to_abi(terms), manifest_uri, sent=sent)
        return self._listed(receipt)

    def add_version(
        self, offer: int, terms: OfferTerms, manifest_uri: str, *, sent: Sent | None = None
    ) -> ListedOffer:
        """Return the next version of an offer; earlier ones stay for sale until they are retired.

        Raises:
            BadInputError: terms that the registry refuses.
            ContractRefusal: another's offer, or another kind.
        """
        check_terms(terms)
        newest = self.reader.get_offer(offer)
        if newest.terms_hash == terms_hash(terms):
            return newest
        receipt = self.writer.call(
            "OfferRegistry", "addVersion", offer, to_abi(terms), manifest_uri, sent=sent
        )
        return self._listed(receipt)

    def set_active(self, offer: int, active: bool, *, sent: Sent | None = None) -> Receipt | None:
        """Open or close an offer for new acceptances; None where it already is so."""
        _, _, known, _ = self.reader.node.view("OfferRegistry", "getOffer", offer)
        if known == active:
            return None
        return self.writer.call("OfferRegistry", "setActive", offer, active, sent=sent)

    def retire_version(self, offer: int, version: int, *, sent: Sent | None = None) -> Receipt:
        """Take one version from sale, for good.

        Raises:
            ContractRefusal: unknown, retired already, or another's.
        """
        return self.writer.call("OfferRegistry", "retireVersion", offer, version, sent=sent)

    def find(self, terms: OfferTerms) -> ListedOffer | None:
        """Return the owner's open offer whose newest version has exactly these terms, or None."""
        wanted = terms_hash(terms)
        mine = self.reader.list_offers(owner=self.writer.signer.address)
        return next((offer for offer in mine if offer.active and offer.terms_hash == wanted), None)

    def _listed(self, receipt: Receipt) -> ListedOffer:
        members = self.writer.event(receipt, "OfferRegistry", "OfferListed")
        return self.reader.get_offer(members["offer"], members["version"])
