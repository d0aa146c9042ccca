"""Reports that must not count (threat model T12)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from coincurve import PrivateKey

from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.orders import ReportSummary, inputs_root
from enclave_runtime.wire.signatures import secp256k1_sign
from marketplace.chain.reports import report_of
from marketplace.chain.writer import Writer
from marketplace.demo.attacks.bench import Bench, Outcome, Refused, refusal_of
from marketplace.domain.tight import encode_order
from marketplace.errors import MarketError
from marketplace.provider.parting import Parting
from marketplace.provider.reducer import StepKind

__all__ = ["forged_report", "report_other_order", "second_report"]


def forged_report(bench: Bench) -> Outcome:
    """The host signs a report of its own while the engine has not run."""
    order = bench.place()
    bench.run_until(order, StepKind.RUN)
    checkpoint, _ = _kept(bench, order, "integrity")
    terms = bench.preimage(order).terms
    forged = replace(
        checkpoint,
        outcome=1,
        sequence=0xFFFFFFFF,
        inputs_root=inputs_root(terms.inputs),
        seconds_used=3600,
        result_digest=b"\x07" * 32,
    )
    domain = bench.agent.tools.chain.domain()
    signature = secp256k1_sign(PrivateKey(), typed_digest(domain, forged))
    refused = refusal_of(lambda: _complete(bench, order, forged, signature))
    bench.kill_cvm(order)
    bench.expire(order)
    return Outcome(refused, "only the accepted CVM's key signs for its order")


def report_other_order(bench: Bench) -> Outcome:
    """A genuine report of one order is submitted for another."""
    first, second = bench.place(), bench.place()
    bench.run_until(second, StepKind.RUN)
    bench.run_until(first, StepKind.COMPLETE)
    summary, signature = _kept(bench, first, "report")
    refused = refusal_of(lambda: _complete(bench, second, summary, signature))
    bench.run_until(first)
    bench.kill_cvm(second)
    bench.expire(second)
    return Outcome(refused, "the summary names its order, its CVM and its inputs")


def second_report(bench: Bench) -> Outcome:
    """A finished order is reported once more, on chain and at the CVM."""
    order = bench.place()
    bench.run_until(order, StepKind.COMPLETE)
    with contextlib.closing(bench.cvm(order)) as cvm:
        at_cvm = refusal_of(lambda: cvm.call("report", location="file:sha256/other", stored=True))
    summary, signature = _kept(bench, order, "report")
    bench.run_until(order)
    refused: Refused = refusal_of(lambda: _complete(bench, order, summary, signature))
    return Outcome(refused, f"one order, one report; the CVM says {at_cvm.step}")


def _kept(bench: Bench, order: bytes, name: str) -> tuple[ReportSummary, bytes]:
    text = bench.agent.tools.journal.fact(order, name)
    if text is None:
        raise MarketError(f"no {name} in the journal")
    parting = Parting.from_text(text)
    return parting.summary, parting.signature


def _complete(bench: Bench, order: bytes, summary: ReportSummary, signature: bytes) -> None:
    """Send `complete` past every check that the agent's own code makes."""
    session = bench.world.homes["operator"].session
    writer: Writer = session.writer
    arguments = (encode_order(bench.preimage(order).terms), report_of(summary, signature), "")
    writer.call("OrderBook", "complete", *arguments)
