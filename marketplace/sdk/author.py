"""What owners of engines, models and datasets do: seal, publish, compare, withdraw (protocol section 3).

The content key is born here and goes into the owner's keystore before anything is on chain; nothing but
ciphertext and the manifest reach the blob store.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.sealed.tree import NO_SALT, SEGMENT_BYTES, Algorithm
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.offer import content_terms, sole_payee
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk.own_secrets import check_holds_no_secret
from marketplace.sdk.sent import Sent

if TYPE_CHECKING:
    from marketplace.chain.authors import Authors, Derivation
    from marketplace.sdk.profile import Session

__all__ = [
    "AsSealed",
    "Asked",
    "Published",
    "as_sealed",
    "close_offer",
    "derivation_of",
    "digest",
    "list_content",
    "list_terms",
    "own_digest",
    "publish",
    "reopen_offer",
    "retire_offer",
    "salt_of",
]


class AsSealed(TypedDict):
    """What a digest depends on beside the bytes and the salt."""

    algorithm: Algorithm
    segment_bytes: int


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to.

    Attributes:
        offer, version: as the registry counted them.
        manifest_digest, content_digest: 32 bytes each, as in the offer's terms; zero for compute.
        manifest_uri, content_uri: where manifest and ciphertext lie; empty for compute.
        tx: hash of the transaction; empty where the same terms were listed already.
        gas: used by it.
    """

    offer: int
    version: int
    manifest_digest: bytes
    content_digest: bytes
    manifest_uri: str
    content_uri: str
    tx: str
    gas: int


def publish(
    session: Session,
    path: Path,
    kind: OfferKind,
    *,
    price: Price,
    payees: Sequence[Payee] | None = None,
    entry_point: Sequence[str] = (),
    token: bytes | None = None,
    replaces: int | None = None,
    royalty_bps: int = 0,
    made_by: bytes | None = None,
    algorithm: Algorithm | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> Published:
    """Seal a folder, keep its key, store the ciphertext, list the offer.

    Args:
        royalty_bps: models and datasets: share asked of what is made from them.
        made_by: models: this wallet's completed order that made it; its parents get the royalties they ask.
        payees: who shares the income; None gives all to the wallet.
        entry_point: engines only: `python` or a program of the folder, then its arguments.
        token: what the price is in; None takes the market's own token.
        replaces: an offer of this wallet that gets a new version; None lists a new offer.
        algorithm: hash of the segments; None takes the profile's.
    Raises:
        RefusedError: steps `archive.*`: the folder has something that no archive takes.
        BadInputError: terms that the registry would refuse, an entry point that is not there, or a folder
            that holds one's own keys.
        ContractRefusal: the registry refused.
        MarketError: storing or the chain did not work out; a key that was kept does no harm.
    """
    from marketplace.sealing.folders import seal_folder

    check_holds_no_secret(session.profile, path)
    keystore, owner = session.keystore(), session.profile.owner
    sealed = seal_folder(
        path,
        kind,
        session.store,
        entropy=os.urandom,
        release_url=owner.release_url,
        grant_key=session.grant_address(),
        entry_point=entry_point,
        algorithm=owner.algorithm if algorithm is None else algorithm,
        segment_bytes=segment_bytes,
        progress=progress,
    )
    # Before the offer exists: an order on content whose key was lost could never be served.
    keystore.put(sealed.manifest_digest, sealed.content_key, sealed.salt)
    places = sealed.manifest_uri, sealed.content_uri
    asked = Asked(price, payees, token, replaces, royalty_bps, made_by)
    return list_content(session, sealed.manifest, places, asked)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an owner asks for content; members as the arguments of `publish`."""

    price: Price
    payees: Sequence[Payee] | None = None
    token: bytes | None = None
    replaces: int | None = None
    royalty_bps: int = 0
    made_by: bytes | None = None


def list_content(session: Session, manifest: Manifest, places: tuple[str, str], asked: Asked) -> Published:
    """List content that is stored and whose key is kept; errors as `publish`.

    Args:
        places: URIs of the manifest and of the ciphertext.
    """
    derivation = None if asked.made_by is None else derivation_of(session, asked.made_by)
    terms = content_terms(
        manifest.kind,
        token=session.deployment.token if asked.token is None else asked.token,
        price=asked.price,
        payees=sole_payee(session.address) if asked.payees is None else tuple(asked.payees),
        manifest_digest=manifest.digest(),
        content_digest=manifest.sealed.content_digest,
        grant_key=manifest.release.grant_key,
        lineage=ZERO32 if derivation is None else _authors(session).derive(derivation).lineage,
        royalty_bps=asked.royalty_bps,
    )
    return list_terms(session, terms, *places, replaces=asked.replaces, derivation=derivation)


def list_terms(
    session: Session,
    terms: OfferTerms,
    manifest_uri: str,
    content_uri: str,
    *,
    replaces: int | None = None,
    derivation: Derivation | None = None,
) -> Published:
    """Put terms on chain as a new offer, or as the next version of the offer `replaces`.

    Raises:
        BadInputError: terms that the registry would refuse.
        ContractRefusal: the registry refused.
    """
    authors, sent = _authors(session), Sent()
    if replaces is None:
        listed = authors.list_offer(terms, manifest_uri, derivation=derivation, sent=sent)
    else:
        listed = authors.add_version(replaces, terms, manifest_uri, derivation=derivation, sent=sent)
    return Published(
        listed.offer,
        listed.version,
        terms.manifest_digest,
        terms.content_digest,
        manifest_uri,
        content_uri,
        sent.last,
        sent.gas(session),
    )


def derivation_of(session: Session, order: bytes) -> Derivation:
    """Return what proves that a completed order made a model: its preimage and its CVM's report.

    Raises:
        NotFoundError: no such order, or no CVM reported on it.
        MarketError: its bundle, which has the CVM's signature, cannot be had.
    """
    from marketplace.chain.authors import Derivation
    from marketplace.sdk.client import preimage_of
    from marketplace.sdk.reading import read_bundle, terminal_event

    event = terminal_event(session, order)
    bundle = read_bundle(session, order, event.location)
    if bundle.report is None:
        raise NotFoundError(f"order 0x{order.hex()}: its bundle has no report")
    return Derivation(preimage_of(session, order), event.summary, bundle.report.signature)


def _authors(session: Session) -> Authors:
    from marketplace.chain.authors import Authors

    return Authors(session.reader, session.writer)


def digest(
    path: Path,
    kind: OfferKind,
    salt: bytes | None = None,
    *,
    algorithm: Algorithm = Algorithm.BLAKE3,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
) -> bytes:
    """Return the content digest of a folder or of its archive, 32 bytes, to compare with an offer's.

    Args:
        salt: as in the owner's keystore; None for engines, whose digests are bare.
        algorithm, segment_bytes: as in the manifest to compare with.
    Raises:
        BadInputError: a salt for an engine, or none for a model or dataset.
        RefusedError: steps `archive.*`.
    """
    from marketplace.sealing.folders import digest_archive, digest_folder

    measure = digest_folder if path.is_dir() else digest_archive
    return measure(
        path,
        kind,
        NO_SALT if salt is None else salt,
        algorithm=algorithm,
        segment_bytes=segment_bytes,
        progress=progress,
    )


def own_digest(session: Session, path: Path, offer: int, *, progress: Progress | None = None) -> bytes:
    """Return the content digest of a folder under the salt, the hash and the segment size of an offer.

    For models and datasets the salt comes from this profile's own keystore: nobody else can make the digest.

    Raises:
        NotFoundError: no such offer, or its salt is not in the keystore.
        MarketError: its manifest cannot be had.
    """
    from marketplace.sdk.market import manifest_of

    listed = session.reader.get_offer(offer)
    if listed.kind is OfferKind.COMPUTE:
        raise BadInputError(f"offer {offer}", "a compute offer", "an engine, a model or a dataset")
    manifest = manifest_of(session, listed)
    bare = listed.kind is OfferKind.ENGINE
    salt = None if bare else salt_of(session, listed.terms.manifest_digest)
    return digest(path, listed.kind, salt, progress=progress, **as_sealed(manifest.sealed))


def as_sealed(info: SealedInfo) -> AsSealed:
    """Return what of a manifest a digest depends on, as arguments of `digest`."""
    return {"algorithm": info.algorithm, "segment_bytes": info.segment_bytes}


def salt_of(session: Session, manifest_digest: bytes) -> bytes:
    """Return the salt that hides the digest of one content, from this profile's keystore.

    Raises:
        NotFoundError: it is not there: the content is another owner's.
    """
    try:
        return session.keystore(create=False).get(manifest_digest).salt
    except NotFoundError as error:
        raise NotFoundError(
            f"content 0x{manifest_digest.hex()}: its salt is not in this keystore",
            hint="digests of models and datasets are hidden: only the owner can make them again",
        ) from error


def close_offer(session: Session, offer: int, version: int | None = None) -> str:
    """Take a version, or every open one, from sale until it is reopened; return the last transaction's hash.

    Orders that were accepted go on, and so do leases.

    Raises:
        NotFoundError: no such offer or version.
        ContractRefusal: not this wallet's offer.
    """
    return _each_version(session, offer, version, "close")


def reopen_offer(session: Session, offer: int, version: int | None = None) -> str:
    """Put a closed version, by default the newest, on sale again; empty where it is for sale.

    Raises:
        ContractRefusal: retired, or not this wallet's offer.
    """
    newest = session.reader.get_offer(offer, version).version
    return _each_version(session, offer, newest, "reopen")


def retire_offer(session: Session, offer: int, version: int | None = None) -> str:
    """Take a version, or every one, from sale for good; empty where that is done.

    Raises:
        ContractRefusal: not this wallet's offer.
    """
    return _each_version(session, offer, version, "retire")


def _each_version(session: Session, offer: int, version: int | None, what: str) -> str:
    authors, last = _authors(session), ""
    newest = session.reader.get_offer(offer).latest
    for number in range(1, newest + 1) if version is None else (version,):
        receipt = getattr(authors, what)(offer, number)
        last = last if receipt is None else receipt.tx_hash
    return last
