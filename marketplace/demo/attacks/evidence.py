"""Evidence that must not be believed (threat model T2, T3, T4, T13, T14)."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from enclave_runtime.attestation.simulated.client import PlatformClient
from enclave_runtime.attestation.simulated.measure import locked_requirements
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.report_data import Purpose
from marketplace.demo.attacks.bench import Bench, Outcome, Refused, refusal_of
from marketplace.demo.scenario import ROOT, windows
from marketplace.demo.world import CERTIFIERS, platform_argv
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient, CvmGoneError
from marketplace.provider.reducer import StepKind
from marketplace.sdk import client, ordering
from marketplace.sdk.profile import Session

__all__ = [
    "debug_cvm",
    "expired_certificate",
    "replayed_quote",
    "simulated_as_real",
    "stale_tcb",
    "unknown_measurement",
]

_TEN_HOURS_S = 36_000


def replayed_quote(bench: Bench) -> Outcome:
    """A quote that a certifier has seen is handed in again."""
    with _cvm(bench, bench.world.platform_socket, ROOT) as cvm:
        url = bench.world.urls[CERTIFIERS[0]]
        bundle = _evidence(bench, cvm, url)
        bench.agent.tools.services.certify(url, hex_of(bench.agent.tools.operator), bundle)
        refused = refusal_of(lambda: _certify(bench, url, bundle))
    return Outcome(refused, "a challenge serves once")


def unknown_measurement(bench: Bench) -> Outcome:
    """The host flips one byte of the runtime before it is launched."""
    runtime = bench.world.folder / "runtime-flipped"
    shutil.copytree(
        ROOT / "enclave_runtime", runtime / "enclave_runtime", ignore=shutil.ignore_patterns("__pycache__")
    )
    path = runtime / "enclave_runtime" / "loader" / "__init__.py"
    path.write_text(path.read_text() + "#")
    with _cvm(bench, bench.world.platform_socket, runtime) as cvm:
        return Outcome(_not_certified(bench, cvm, CERTIFIERS[0]), "one byte, another measurement")


def debug_cvm(bench: Bench) -> Outcome:
    """The host launches the CVM with the debug bit, so that it could look inside."""
    with _other_platform(bench, "--dangerous-debug") as socket, _cvm(bench, socket, ROOT) as cvm:
        return Outcome(_not_certified(bench, cvm, CERTIFIERS[0]), "debug is refused, always")


def stale_tcb(bench: Bench) -> Outcome:
    """The vendor has said that this platform's firmware is out of date."""
    with _other_platform(bench, "--dangerous-tcb-status", "OutOfDate") as socket:
        name = "certifier-stale"
        child = bench.world.start_certifier(name, PrivateKey(), collateral=f"simulated:{socket}")
        bench.world.wait_for(name, child)
        with _cvm(bench, bench.world.platform_socket, ROOT) as cvm:
            refused = _not_certified(bench, cvm, name)
        bench.world.processes.stop_one(child)
    return Outcome(refused, "collateral is the vendor's word of now, fetched by the certifier itself")


def expired_certificate(bench: Bench) -> Outcome:
    """The provider accepts with a CVM whose certificate has run out."""
    patient = replace(windows(), accept_within=2 * _TEN_HOURS_S)
    order = bench.place(bench.request(windows=patient))
    bench.run_until(order, StepKind.ACCEPT)
    bench.world.chain.warp(_TEN_HOURS_S)
    row = bench.agent.tools.journal.cvm_of(order)
    if row is None or row.cvm_id is None:
        raise MarketError("no CVM is promised to this order")
    job, chain = bench.agent.job_of(order), bench.agent.tools.chain
    cvm = chain.cvm_number(row.cvm_id)
    refused = refusal_of(lambda: chain.accept(job.preimage, job.packet.policy, cvm, lambda _: None))
    client.cancel(bench.world.homes["centre"].session, order)
    return Outcome(refused, "certificates decide money, and only while they are good")


def simulated_as_real(bench: Bench) -> Outcome:
    """A simulated CVM is offered to an order that asked for Intel's root."""
    profile = bench.world.homes["centre"].session.profile
    trust = replace(profile.trust, root_set="intel", unsafe_accept_simulated=False)
    session = Session(replace(profile, trust=trust))
    placed = ordering.place(session, bench.request(), entropy=os.urandom)
    bench.orders.append(client.preimage_of(session, placed.order_id))
    refused = refusal_of(lambda: bench.run_until(placed.order_id, StepKind.ADMIT))
    client.cancel(session, placed.order_id)
    return Outcome(refused, "the trust class is data: the certificate says dev, the order says intel")


def _not_certified(bench: Bench, cvm: CvmClient, certifier: str) -> Refused:
    url = bench.world.urls[certifier]
    bundle = _evidence(bench, cvm, url)
    return refusal_of(lambda: _certify(bench, url, bundle))


def _certify(bench: Bench, url: str, bundle: object) -> None:
    bench.agent.tools.services.certify(url, hex_of(bench.agent.tools.operator), bundle)


def _evidence(bench: Bench, cvm: CvmClient, url: str) -> object:
    operator = hex_of(bench.agent.tools.operator)
    challenge = bench.agent.tools.services.certifier_challenge(url, operator)
    members: dict[str, Any] = {
        "purpose": Purpose.CERTIFY.value,
        "operator": operator,
        "challenge": hex_of(challenge),
    }
    return cvm.call("evidence", **members).members["bundle"]


@contextlib.contextmanager
def _cvm(bench: Bench, platform: Path, runtime: Path) -> Iterator[CvmClient]:
    """Launch a CVM of no order, connect, and end it afterwards."""
    client_ = PlatformClient(platform)
    folder = bench.world.folder / "cvms" / os.urandom(4).hex()
    folder.mkdir(mode=0o700, parents=True)
    started = client_.launch(runtime, locked_requirements(ROOT), folder)
    cvm = CvmClient(started.socket)
    try:
        _wait(cvm)
        yield cvm
    finally:
        cvm.close()
        client_.kill(started.pid)


@contextlib.contextmanager
def _other_platform(bench: Bench, *options: str) -> Iterator[Path]:
    """Start a second platform of the same vendor in a bad world."""
    state = bench.world.folder / f"platform-{os.urandom(2).hex()}"
    private = state / "private"
    private.mkdir(mode=0o700, parents=True)
    for keys in (bench.world.folder / "platform" / "private").iterdir():
        shutil.copy2(keys, private)
    socket = bench.world.folder / f"{state.name}.sock"
    child = bench.world.processes.start(
        state.name, platform_argv(state, socket, *bench.world.hardware.options(), *options)
    )
    try:
        child.wait_until(socket.exists, timeout_s=20)
        yield socket
    finally:
        bench.world.processes.stop_one(child)


def _wait(cvm: CvmClient) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            cvm.call("status")
            return
        except CvmGoneError:
            if time.monotonic() > until:
                raise
            time.sleep(0.03)
