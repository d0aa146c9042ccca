"""The offers for sale, read from the registry's events, checked against its hashes (protocol section 2)."""

from __future__ import annotations

from typing import Any

from enclave_runtime.wire.offers import OfferKind, OfferTerms, terms_hash
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.chain.abicodec import decode
from marketplace.chain.artifacts import contract, from_abi
from marketplace.chain.node import Log, Node
from marketplace.domain.offer import ListedOffer
from marketplace.errors import NotFoundError, UnreachableError

__all__ = ["Catalog"]


class Catalog:
    """Reads OfferRegistry. Terms never change under a version, so they are kept once read."""

    def __init__(self, node: Node) -> None:
        """Take one node's view."""
        self._node = node
        self._known: dict[tuple[int, int], tuple[OfferTerms, str, int]] = {}

    def get_offer(self, offer: int, version: int | None = None) -> ListedOffer:
        """Return one version of an offer, the newest where none is named.

        Raises:
            NotFoundError: no such offer or version.
            UnreachableError: the node's event does not carry the terms that the registry names.
        """
        owner, kind, active, latest = self._node.view("OfferRegistry", "getOffer", offer)
        if owner == ZERO_ADDRESS:
            raise NotFoundError(f"offer {offer}: no such offer", hint="list them with `cloister market`")
        wanted = latest if version is None else version
        if not 1 <= wanted <= latest:
            raise NotFoundError(f"offer {offer}: got version {wanted}, expected 1 to {latest}")
        stored = self._node.view("OfferRegistry", "termsHash", offer, wanted)
        terms, uri, block = self._terms(offer, wanted)
        if stored not in (ZERO32, terms_hash(terms)) or terms.kind != kind:
            raise UnreachableError(f"offer {offer}: a node sent terms that the registry does not name")
        for_sale = active and stored != ZERO32
        return ListedOffer(offer, wanted, owner, for_sale, terms, uri, latest, block)

    def list_offers(
        self, *, kind: OfferKind | None = None, owner: bytes | None = None, all_versions: bool = False
    ) -> list[ListedOffer]:
        """Return offers in the order of their listing, the newest version of each unless told otherwise.

        Args:
            kind: only this kind.
            owner: only this owner's.
            all_versions: older versions too.
        """
        event = contract("OfferRegistry").events["OfferListed"]
        by_owner = None if owner is None else owner.rjust(32, b"\x00")
        found: list[tuple[int, int]] = []
        for log in self._node.logs("OfferRegistry", [event.topic, None, by_owner]):
            members = self._remember(log)
            if kind is None or members["kind"] == kind:
                found.append((members["offer"], members["version"]))
        if not all_versions:
            found = list(dict(found).items())  # the last, and so the newest, version of each offer
        return [self.get_offer(offer, version) for offer, version in found]

    def _terms(self, offer: int, version: int) -> tuple[OfferTerms, str, int]:
        if (offer, version) not in self._known:
            event = contract("OfferRegistry").events["OfferListed"]
            for log in self._node.logs("OfferRegistry", [event.topic, offer.to_bytes(32, "big")]):
                self._remember(log)
        try:
            return self._known[offer, version]
        except KeyError:
            raise NotFoundError(
                f"offer {offer}, version {version}: the node has no event of its listing",
                hint="it may lag behind, or read events from too late a block (see the deployment file)",
            ) from None

    def _remember(self, log: Log) -> dict[str, Any]:
        registry = contract("OfferRegistry")
        members = registry.events["OfferListed"].read(log.topics, log.data)
        values, uri = decode(registry.functions["list"].inputs, members["terms"])
        terms = from_abi(OfferTerms, values)
        if terms_hash(terms) != members["termsHash"]:
            raise UnreachableError(
                f"offer {members['offer']}: a node sent terms that their hash does not name"
            )
        self._known[members["offer"], members["version"]] = (terms, uri, log.block)
        return members
