"""The offers for sale, read from the registry's events, checked against its hashes (protocol section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import BPS, OfferKind, OfferTerms, terms_hash
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.chain.artifacts import contract
from marketplace.chain.node import Log, Node
from marketplace.domain.offer import ListedOffer, kind_in
from marketplace.domain.tight import HEAD_BYTES, MAX_PAYEES, PAYEE_BYTES, decode_head
from marketplace.errors import NotFoundError, UnreachableError

__all__ = ["Catalog", "VersionState", "read_listing"]

_TOKEN_BYTES: Final = 20


class VersionState(IntEnum):
    """What the registry holds of a version; CLOSED may open again, RETIRED never."""

    UNUSED = 0
    OPEN = 1
    CLOSED = 2
    RETIRED = 3


def read_listing(data: bytes) -> tuple[OfferTerms, str]:
    """Return terms and manifest URI in a listing's bytes: token, head, payees, URI.

    The payees end where their shares add up to the whole.

    Raises:
        WireError: no such place, short bytes, or payees that are not the head's.
    """
    start = _TOKEN_BYTES + HEAD_BYTES
    end, total = start, 0
    while total < BPS:
        end += PAYEE_BYTES
        if end > len(data) or end > start + MAX_PAYEES * PAYEE_BYTES:
            raise WireError("listing: got payees whose shares do not add up")
        total += int.from_bytes(data[end - 2 : end], "big")
    terms = decode_head(data[_TOKEN_BYTES:start], data[:_TOKEN_BYTES], data[start:end])
    # A hint: strangers write it, and what is not UTF-8 of it must not hide the offer.
    return terms, data[end:].decode(errors="replace")


class Catalog:
    """Reads OfferRegistry. Terms never change under a version, so they are kept once read."""

    def __init__(self, node: Node) -> None:
        """Take one node's view."""
        self._node = node
        self._known: dict[tuple[int, int], tuple[OfferTerms, str, int]] = {}
        self._derived: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def get_offer(self, offer: int, version: int | None = None) -> ListedOffer:
        """Return one version of an offer, the newest where none is named.

        Raises:
            NotFoundError: no such offer or version.
            UnreachableError: the node's event does not carry the terms that the registry names.
        """
        if not 0 <= offer < 1 << 64:
            raise NotFoundError(f"offer {offer}: no such offer", hint="list them with `cloister market`")
        owner, latest = self._node.views(
            [("OfferRegistry", "ownerOf", (offer,)), ("OfferRegistry", "latestVersion", (offer,))]
        )
        if owner == ZERO_ADDRESS or latest == 0:
            raise NotFoundError(f"offer {offer}: no such offer", hint="list them with `cloister market`")
        wanted = latest if version is None else version
        if not 1 <= wanted <= latest:
            raise NotFoundError(f"offer {offer}: got version {wanted}, expected 1 to {latest}")
        stored, state = self._node.views(
            [
                ("OfferRegistry", "termsHash", (offer, wanted)),
                ("OfferRegistry", "stateOf", (offer, wanted)),
            ]
        )
        terms, uri, block = self._terms(offer, wanted)
        if stored not in (ZERO32, terms_hash(terms)) or terms.kind != kind_in(offer):
            raise UnreachableError(f"offer {offer}: a node sent terms that the registry does not name")
        made_by, table = self._lineage(offer, wanted) if terms.lineage != ZERO32 else (b"", b"")
        return ListedOffer(
            offer=offer,
            version=wanted,
            owner=owner,
            active=stored != ZERO32,
            terms=terms,
            manifest_uri=uri,
            latest=latest,
            block=block,
            retired=state == VersionState.RETIRED,
            made_by=made_by,
            table=table,
        )

    def list_offers(
        self, *, kind: OfferKind | None = None, owner: bytes | None = None, all_versions: bool = False
    ) -> list[ListedOffer]:
        """Return offers in the order of their listing, the newest version of each unless told otherwise.

        Args:
            kind: only this kind.
            owner: only this owner's.
            all_versions: older versions too.
        """
        found = self.listed(owner=owner)
        wanted = [pair for pair in found if kind is None or kind_in(pair[0]) == kind]
        if not all_versions:
            wanted = list(dict(wanted).items())  # the last, and so the newest, version of each offer
        return [self.get_offer(offer, version) for offer, version in wanted]

    def listed(self, *, owner: bytes | None = None) -> list[tuple[int, int]]:
        """Return (offer, version) of every listing, of one owner or of all, in their order."""
        event = contract("OfferRegistry").events["OfferListed"]
        by_owner = None if owner is None else owner.rjust(32, b"\x00")
        logs = self._node.logs("OfferRegistry", [event.topic, None, by_owner])
        return [pair for log in logs if (pair := self._remember(log)) is not None]

    def _terms(self, offer: int, version: int) -> tuple[OfferTerms, str, int]:
        if (offer, version) not in self._known:
            for log in self._events("OfferListed", offer):
                self._remember(log)
        try:
            return self._known[offer, version]
        except KeyError:
            raise NotFoundError(
                f"offer {offer}, version {version}: the node has no event of its listing",
                hint="it may lag behind, or read events from too late a block (see the deployment file)",
            ) from None

    def _lineage(self, offer: int, version: int) -> tuple[bytes, bytes]:
        if (offer, version) not in self._derived:
            event = contract("OfferRegistry").events["OfferDerived"]
            for log in self._events("OfferDerived", offer):
                members = event.read(log.topics, log.data)
                self._derived[offer, members["version"]] = members["orderId"], members["table"]
        return self._derived.get((offer, version), (b"", b""))

    def _events(self, name: str, offer: int) -> Iterable[Log]:
        topic = contract("OfferRegistry").events[name].topic
        return self._node.logs("OfferRegistry", [topic, offer.to_bytes(32, "big")])

    def _remember(self, log: Log) -> tuple[int, int] | None:
        members = contract("OfferRegistry").events["OfferListed"].read(log.topics, log.data)
        offer, version = members["offer"], members["version"]
        try:
            terms, uri = read_listing(members["terms"])
        except WireError as error:
            raise UnreachableError(f"offer {offer}: a node sent a malformed listing") from error
        if terms_hash(terms) != members["termsHash"]:
            raise UnreachableError(f"offer {offer}: a node sent terms that their hash does not name")
        self._known[offer, version] = (terms, uri, log.block)
        return offer, version
