"""What an auditor does: collect an order's public facts and hold them against its own beliefs (section 8).

Roots, reference values and collateral are always the auditor's own; the order's bundle and an export are
data to be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.sealed.buffers import Progress
from enclave_runtime.wire.errors import EnclaveError
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.scalars import ZERO32
from marketplace.errors import BadInputError, MarketError
from marketplace.sdk.bundle import OrderBundle
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.collecting import read_facts
from marketplace.sdk.export import Export, verify_export
from marketplace.sdk.reading import last_location, read_bundle
from marketplace.sdk.streams import stream_digest
from marketplace.sdk.verify import Held, TrustAnchor, Verdict, verify_order

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["Verdict", "collect", "export", "verify", "verify_export"]


def collect(session: Session, order: bytes) -> tuple[OrderBundle, ChainFacts]:
    """Return an order's public bundle, and what the chain says of it.

    Raises:
        NotFoundError: no such order.
        MarketError, WireError, RefusedError: no bundle, or one of another form or order.
    """
    events = session.reader.history(order)
    facts = read_facts(session, order, events)
    return read_bundle(session, order, last_location(events)), facts


def verify(
    session: Session,
    order: bytes,
    sources: Mapping[int, Path] | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Walk the numbered checks of section 8 over a live order.

    Args:
        progress: called with bytes done and in all while the sealed result is read.
        sources: input index -> folder that the auditor holds itself: engines that it read, and data whose
            salt is in its own keystore.
    Raises:
        NotFoundError: no such order, or no salt for a source.
        BadInputError: the profile believes nothing, or a source of an input that there is not.
        MarketError: the order's bundle, or collateral, cannot be had.
    """
    bundle, facts = collect(session, order)
    held = Held(_own_digests(session, bundle, sources or {}), _result_digest(session, bundle, progress))
    return verify_order(bundle, facts, _anchor(session, bundle), held)


def export(session: Session, order: bytes, path: Path) -> Export:
    """Write everything that verifying an order needs to one file, for an auditor without a network.

    The root set and the collateral in it are for the reader's convenience: whoever verifies brings its own
    root set, and the vendor's signature says whether collateral is good.

    Raises:
        As `verify`.
    """
    bundle, facts = collect(session, order)
    anchor = _anchor(session, bundle)
    made = Export(facts, bundle, anchor.collateral, anchor.roots.id, _result_digest(session, bundle))
    made.save(path)
    return made


def _anchor(session: Session, bundle: OrderBundle) -> TrustAnchor:
    if not bundle.certified:
        return session.anchor()
    first = bundle.certified[0]
    return session.anchor(first.bundle.evidence, now=first.certificate.issued_at)


def _own_digests(session: Session, bundle: OrderBundle, sources: Mapping[int, Path]) -> dict[int, bytes]:
    from marketplace.sdk.author import as_sealed, digest, salt_of

    found = {}
    for index, path in sources.items():
        if not 0 <= index < len(bundle.manifests):
            raise BadInputError("source", f"input {index}", f"one of {len(bundle.manifests)} inputs")
        manifest = bundle.manifests[index]
        bare = manifest.kind is OfferKind.ENGINE
        named = bundle.preimage.inputs[index].manifest_digest
        salt = None if bare else salt_of(session, named)
        found[index] = digest(path, manifest.kind, salt, **as_sealed(manifest.sealed))
    return found


def _result_digest(session: Session, bundle: OrderBundle, progress: Progress | None = None) -> bytes | None:
    """Return the digest of the sealed result as it lies in the store, None where there is none to fetch."""
    if bundle.report is None or bundle.report.summary.result_digest == ZERO32 or not bundle.result:
        return None
    try:
        return stream_digest(session.store, bundle.result, progress=progress)
    except (MarketError, EnclaveError):
        # Step 9 then fails and says that there is none: what cannot be read proves nothing.
        return None
