"""What is for sale, read from the chain; every hash is checked on the way (docs/protocol.md section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES, Manifest, manifest_digest
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind
from marketplace.domain.offer import ListedOffer

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["manifest_of", "offer", "offers"]


def offers(
    session: Session, kind: OfferKind | None = None, *, owner: bytes | None = None, closed: bool = False
) -> list[ListedOffer]:
    """Return the newest version of each open offer, in the order of their listing.

    Args:
        kind: only this kind.
        owner: only this owner's.
        closed: closed offers too.
    """
    listed = session.reader.list_offers(kind=kind, owner=owner)
    return [one for one in listed if one.active or closed]


def offer(session: Session, offer_id: int, version: int | None = None) -> ListedOffer:
    """Return one version of an offer, by default the newest.

    Raises:
        NotFoundError: no such offer or version.
    """
    return session.reader.get_offer(offer_id, version)


def manifest_of(session: Session, listed: ListedOffer) -> Manifest:
    """Return the manifest that an offer's terms pin.

    Raises:
        StorageError: it is not where the offer says.
        RefusedError: step `offer.manifest`: something else lies there.
        WireError: it is no manifest.
    """
    from marketplace.storage.base import read_blob

    data = read_blob(session.store, listed.manifest_uri, limit=MAX_MANIFEST_BYTES)
    got = manifest_digest(data)
    if got != listed.terms.manifest_digest:
        raise RefusedError("offer.manifest", hex_of(got), hex_of(listed.terms.manifest_digest))
    return Manifest.from_bytes(data)
