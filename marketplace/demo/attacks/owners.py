"""Owners that deliver other content than they listed, or no key (threat model T8, T9, T10)."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from enclave_runtime.wire.offers import OfferKind
from marketplace.chain.authors import Authors
from marketplace.demo.attacks.bench import Bench, Outcome
from marketplace.demo.scenario import DATASET_PRICE, ENGINE_PRICE, EXAMPLE, SEGMENT_BYTES
from marketplace.domain.offer import content_terms, sole_payee
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.sealing.folders import seal_folder

__all__ = ["grant_withheld", "swapped_dataset", "wrong_engine"]


def wrong_engine(bench: Bench) -> Outcome:
    """The engine's owner seals one other byte under the digest that the hospitals read."""
    folder = bench.world.folder / "forged-engine"
    shutil.copytree(EXAMPLE / "engine", folder, ignore=shutil.ignore_patterns("__pycache__"))
    _flip_last_byte(folder / "train.py")
    lie = _publish_lie(bench, "centre", folder, OfferKind.ENGINE, bench.offers.engine.content_digest)
    inputs = (lie, bench.offers.dataset_a.offer, bench.offers.dataset_b.offer)
    return _refused_in_setup(bench, inputs, "one byte differs from what the owners read")


def swapped_dataset(bench: Bench) -> Outcome:
    """Hospital B delivers other rows than the ones it listed."""
    folder = bench.world.folder / "plain" / "swapped"
    source = bench.story.dataset_folders()[0]
    shutil.copytree(source, folder, dirs_exist_ok=True)
    digest = bench.offers.dataset_b.content_digest
    lie = _publish_lie(bench, "hospital-b", folder, OfferKind.DATASET, digest)
    shutil.rmtree(folder)
    inputs = (bench.offers.engine.offer, bench.offers.dataset_a.offer, lie)
    return _refused_in_setup(bench, inputs, "the content is not what the offer's digest names")


def grant_withheld(bench: Bench) -> Outcome:
    """A client orders with a dataset of its own and withholds the key, to hurt the provider."""
    own = bench.story.publish_dataset("centre", bench.story.dataset_folders()[1])
    broker = bench.world.processes.named("broker-centre")
    bench.world.processes.stop_one(broker)
    try:
        inputs = (bench.offers.engine.offer, bench.offers.dataset_a.offer, own.offer)
        order = bench.place(replace(bench.quick(), inputs=inputs))
        bench.run_until(order)
    finally:
        bench.world.restart_broker("centre")
    record = bench.record(order)
    if record.state is not OrderState.REFUSED:
        raise MarketError(f"the order is {record.state.name}, expected REFUSED")
    note = "the provider is paid its set-up seconds and loses nothing of its stake"
    return Outcome(bench.stated_refusal(order), note)


def _publish_lie(bench: Bench, slug: str, folder: Path, kind: OfferKind, digest: bytes) -> int:
    """Seal `folder`, list it under another content's digest, and return the offer."""
    session = bench.world.homes[slug].session
    sealed = seal_folder(
        folder,
        kind,
        session.store,
        entropy=os.urandom,
        release_url=session.profile.owner.release_url,
        grant_key=session.grant_address(),
        segment_bytes=SEGMENT_BYTES,
        entry_point=("python", "train.py") if kind is OfferKind.ENGINE else (),
    )
    manifest = replace(sealed.manifest, sealed=replace(sealed.manifest.sealed, content_digest=digest))
    uri = session.store.put([manifest.to_bytes()])
    terms = content_terms(
        kind,
        token=session.deployment.token,
        price=ENGINE_PRICE if kind is OfferKind.ENGINE else DATASET_PRICE,
        payees=sole_payee(session.address),
        manifest_digest=manifest.digest(),
        content_digest=digest,
        grant_key=session.grant_address(),
    )
    session.keystore().put(manifest.digest(), sealed.content_key, sealed.salt)
    return Authors(session.reader, session.writer).list_offer(terms, uri).offer


def _refused_in_setup(bench: Bench, inputs: tuple[int, ...], note: str) -> Outcome:
    order = bench.place(bench.request(inputs=inputs))
    bench.run_until(order)
    record = bench.record(order)
    if record.state is not OrderState.REFUSED:
        raise MarketError(f"the order is {record.state.name}, expected REFUSED")
    return Outcome(bench.stated_refusal(order), note)


def _flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
