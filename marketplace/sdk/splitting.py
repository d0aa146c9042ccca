"""What an owner does so that no single broker holds a content key: share it among several (protocol section
5.4).

The ciphertext stays as it is. The offer gets a new version, whose manifest names the brokers; earlier
versions still grant by the one broker that they name, so take them from sale.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from enclave_runtime.sealed.manifest import Release
from enclave_runtime.sealed.threshold import Threshold, deal
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.scalars import ZERO32
from marketplace.errors import BadInputError
from marketplace.sdk.author import Published, list_terms

if TYPE_CHECKING:
    from marketplace.keybroker.shares import ShareFile
    from marketplace.sdk.profile import Session

__all__ = ["Split", "parse_holder", "split_offer"]

_HEX: Final = 40


@dataclass(frozen=True, slots=True)
class Split:
    """What a split came to.

    Attributes:
        published: the new version of the offer.
        threshold: the brokers, as the new manifest names them.
        files: one share file for each broker, in their order: secrets, for its owner's eyes only.
    """

    published: Published
    threshold: Threshold
    files: tuple[Path, ...]


def parse_holder(text: str) -> tuple[str, bytes]:
    """Return (address of a broker, its grant address) from "URL=0x<40 hex digits>".

    Raises:
        BadInputError: another form.
    """
    url, _, address = text.rpartition("=")
    try:
        if not url or not address.startswith("0x") or len(address) != _HEX + 2:
            raise ValueError
        return url, bytes.fromhex(address[2:])
    except ValueError:
        expected = "URL=0x and the 40 hex digits of its grant address"
        raise BadInputError("broker", repr(text[:120]), expected) from None


def split_offer(
    session: Session, offer: int, needed: int, holders: Sequence[tuple[str, bytes]], folder: Path
) -> Split:
    """Cut the key of an offer's content into shares, write one file for each broker, list the new version.

    The share files are written before anything is on chain: an order on a version whose shares were lost
    could never be served. Hand each to its broker over a channel that you would trust with a key, then
    remove it: all of them together are the key.

    Args:
        needed: how many brokers must agree.
        holders: (address, grant address) of each broker.
        folder: gets the share files; made where it is missing, and must not have them already.
    Raises:
        NotFoundError: no such offer, or its key is not in this keystore.
        BadInputError: brokers, numbers or an offer that cannot be split.
        MarketError: its manifest cannot be had, or the chain did not work out.
    """
    from marketplace.keybroker.shares import ShareFile
    from marketplace.sdk.market import manifest_of

    listed = session.reader.get_offer(offer)
    if listed.kind is OfferKind.COMPUTE:
        raise BadInputError(f"offer {offer}", "a compute offer", "an engine, a model or a dataset")
    if listed.terms.lineage != ZERO32:
        expected = "one without: a new version of a derived model is published from its order"
        raise BadInputError(f"offer {offer}", "a model with a lineage", expected)
    keystore, old = session.keystore(create=False), manifest_of(session, listed)
    kept = keystore.get(listed.terms.manifest_digest)
    secret = bytearray(kept.content_key + kept.salt)
    try:
        threshold, shares = deal(secret, needed, tuple(holders), os.urandom)
        manifest = replace(old, release=Release(None, threshold.address(), threshold))
    except WireError as error:
        raise BadInputError("brokers", str(error), "2 to 16 of them, each with its own key") from error
    finally:
        secret[:] = bytes(len(secret))
    digest = manifest.digest()
    files = [
        ShareFile(digest, threshold, number, bytes(share)) for number, share in enumerate(shares, start=1)
    ]
    paths = tuple(_write(folder, file) for file in files)
    keystore.put(digest, kept.content_key, kept.salt)
    manifest_uri = session.store.put([manifest.to_bytes()])
    terms = replace(listed.terms, manifest_digest=digest, grant_key=threshold.address())
    published = list_terms(session, terms, manifest_uri, old.locations[0], replaces=offer)
    return Split(published, threshold, paths)


def _write(folder: Path, file: ShareFile) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{file.manifest_digest.hex()[:16]}-share-{file.number}.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as out:
        out.write(file.to_bytes())
        out.flush()
        os.fsync(out.fileno())
    return path
