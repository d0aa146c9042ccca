"""The demo's three tellings: the honest story with its summary, the attacks, and a market that stays."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from marketplace.demo.attacking import AttackResult, run_attack
from marketplace.demo.console import Console
from marketplace.demo.outside import Plain, run_outside, same_bits
from marketplace.demo.scenario import ROOT, TOKEN
from marketplace.demo.story import Story
from marketplace.demo.timeline import gas_by_call, seconds_by_part
from marketplace.demo.world import World
from marketplace.sdk.profile import Profile
from marketplace.sdk.verdict import Verdict

__all__ = ["keep", "tell", "tell_attacks"]

_LAST: Final = ROOT / ".run" / "demo"
"""What outlives the demo: result, exported order, an auditor's settings."""
_LEAST_ACCURACY: Final = 0.95


def tell(
    world: World, console: Console, started: float, *, by_hand: bool = False
) -> tuple[dict[str, Any], bool]:
    """Run the honest story; return the JSON report and whether everything came out as it must."""
    story = Story(world, console, by_hand=by_hand)
    console.title("Owners and provider")
    with console.step("publish", "engine and two datasets packed, encrypted, published"):
        offers = story.publish()
    with console.step(
        "attest", "provider opens its desk and stakes; a SIMULATED CVM is born, challenged, certified"
    ):
        story.register_provider()
        story.start_agent()
        console.detail(f"CVM {story.wait_certified()}")
    console.title("The order")
    with console.step("place", "cost shown, order placed in one transaction with a permit"):
        placed = story.place(story.request(offers))
    console.detail(f"order {hex_of(placed.order_id)}")
    story.follow(placed.order_id)
    console.title("Result and money")
    with console.step("result", "the client opens the result"):
        result = story.open_result(placed.order_id)
    metrics = json.loads((result / "output" / "metrics.json").read_bytes())
    console.detail(f"held-out accuracy {metrics['accuracy']:.4f}, ROC-AUC {metrics['roc_auc']:.4f}")
    with console.step("receipt", "the client says so: what was held back of the compute price is free"):
        story.receipt(placed.order_id)
    _print_dues(story, placed.order_id, console)
    with console.step("settle", "one transaction claims for everybody and sends each its credit"):
        collected = story.collect(placed.order_id)
    for one in collected.paid:
        console.detail(f"{story.title(one.account):<20} {one.amount / TOKEN:>12.6f} withdrawn")
    console.title("Verification (down to the SIMULATED root)")
    with console.step("verify", "ten numbered checks, live"):
        verdict = story.verify(placed.order_id)
    _print_verdict(verdict, console)
    with console.step("verify_offline", "the same from the exported bundle, with the network off"):
        story.verify_offline(placed.order_id)
    spent_s = time.perf_counter() - started
    with console.step("plain_train", "the same engine outside, on the same rows"):
        plain = run_outside(story.dataset_folders(), world.folder / "plain" / "outside")
    different = same_bits(result / "output", plain.output)
    console.detail("bit for bit the same" if not different else f"differs: {', '.join(different)}")
    _keep_results(world, result)
    report = _report(world, story, placed.order_id, metrics, verdict, plain, spent_s, console)
    ok = verdict.passed and not different and metrics["accuracy"] >= _LEAST_ACCURACY
    _summary(console, report, ok)
    return report, ok


def tell_attacks(world: World, console: Console, names: list[str]) -> dict[str, AttackResult]:
    """Run attacks in a market whose honest steps are done up to the first order."""
    story = Story(world, console)
    with console.step("publish", "engine and two datasets published, provider registered"):
        offers = story.publish()
        story.register_provider()
    console.title(f"{len(names)} bad actors")
    results = {name: run_attack(name, story, offers, console) for name in names}
    failed = [name for name, result in results.items() if not result.ok]
    console.line(
        f"\n{len(results) - len(failed)} of {len(results)} refused, money and plaintext as they must be"
    )
    if failed:
        console.line(f"NOT as they must be: {', '.join(failed)}")
    return results


def keep(world: World, console: Console) -> None:
    """Leave the market running until Ctrl-C."""
    console.title("The market runs; Ctrl-C ends it")
    for name, pid in world.processes.pids().items():
        console.detail(f"{name:<20} process {pid}")
    console.detail(f"chain at {world.chain.url}, contracts in {world.folder / 'deployment.json'}")
    console.line("\nTry, in another terminal:")
    for slug, words in (
        ("centre", "market list"),
        ("centre", "order list"),
        ("hospital-a", "doctor"),
        ("centre", "order place --help"),
    ):
        console.line(f"  .venv/bin/cloister --home {world.homes[slug].path} {words}")
    while True:
        time.sleep(1)


def _report(
    world: World,
    story: Story,
    order: bytes,
    metrics: dict[str, Any],
    verdict: Verdict,
    plain: Plain,
    spent_s: float,
    console: Console,
) -> dict[str, Any]:
    inside_s = _engine_seconds(world)
    parts = seconds_by_part(world.folder / "logs" / "agent.log", order)
    steps = {name: console.steps[name] for name in ("publish", "attest", "place", "settle", "verify")}
    return {
        "accuracy": metrics["accuracy"],
        "roc_auc": metrics["roc_auc"],
        "order_id": hex_of(order),
        "verified": verdict.passed,
        "trust_class": verdict.trust_class,
        "hardware": world.accept.words(),
        "steps": {**steps, **parts},
        "train_seconds": round(inside_s, 3),
        "plain_train_seconds": round(plain.seconds, 3),
        "train_ratio": round(inside_s / plain.seconds, 3),
        "overhead_seconds": round(spent_s - inside_s, 3),
        "gas": gas_by_call(story.reader(), order),
    }


def _engine_seconds(world: World) -> float:
    """Return the wall seconds of the engine's process inside the CVM, as the sealed result says."""
    said = json.loads((world.homes["centre"].path / "result" / "result.json").read_bytes())
    return int(said["engine_ms"]) / 1000


def _print_dues(story: Story, order: bytes, console: Console) -> None:
    """Show who is due what, beside what was held: the sums agree to the last unit."""
    due = story.settlement(order)
    for line in due.lines:
        console.detail(f"{line.name:<24} {story.title(line.receiver):<18} {line.amount / TOKEN:>12.6f} due")
    total = sum(line.amount for line in due.lines)
    console.detail(f"{'sum, as held in escrow':<43} {total / TOKEN:>12.6f}")


def _print_verdict(verdict: Verdict, console: Console) -> None:
    for line in verdict.lines:
        console.detail(f"{'ok ' if line.passed else 'BAD'} {line.number:>2} {line.name}: {line.detail}")
    console.detail(f"trust class: {verdict.trust_class}")


def _keep_results(world: World, result: Path) -> None:
    shutil.rmtree(_LAST, ignore_errors=True)
    _LAST.mkdir(parents=True)
    shutil.copytree(result, _LAST / "result")
    shutil.copy2(world.folder / "order-bundle.json", _LAST)
    trust = {**world.trust(), "collateral": f"file:{world.folder / 'collateral.json'}"}
    Profile.write(_LAST / "auditor", rpc=["http://127.0.0.1:1"], deployment="deployment.json", trust=trust)


def _summary(console: Console, report: dict[str, Any], ok: bool) -> None:
    console.title("Summary")
    console.line(f"  order        {report['order_id']}")
    console.line(f"  trust class  {report['trust_class']}")
    console.line(f"  hardware     {report['hardware']}")
    console.line(f"  accuracy     {report['accuracy']:.4f} held out")
    console.line(f"  ROC-AUC      {report['roc_auc']:.4f}")
    inside_s, plain_s = report["train_seconds"], report["plain_train_seconds"]
    console.line(f"  training     {inside_s:.2f} s in the CVM, {plain_s:.2f} s outside")
    console.line(f"  all else     {report['overhead_seconds']:.1f} s")
    shown = _LAST.relative_to(ROOT)
    bundle = shown / "order-bundle.json"
    console.line(f"  result       {shown / 'result'} (model, metrics, ROC curve)")
    console.line(f"  report       {bundle}; verify it again, offline:")
    console.line(f"               .venv/bin/cloister --home {shown / 'auditor'} verify --bundle {bundle}")
    console.line(f"  verified     {'yes, SIMULATED hardware root' if report['verified'] else 'NO'}")
    console.line("  everything came out as it must" if ok else "  NOT everything came out as it must")
