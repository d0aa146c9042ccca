"""`cloister attest`: what evidence says, whether it holds, and a CVM's own (docs/protocol.md section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import AsJson
from marketplace.cli.output import emit, moment, note, simulated
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from enclave_runtime.attestation.model import VerifiedEvidence
    from marketplace.sdk.attest_words import Explained
    from marketplace.sdk.attesting import Judged, Wanted

__all__ = ["app"]

app = typer.Typer(
    help="Evidence of TEEs: what it says, and whether it holds. Any vendor's.", no_args_is_help=True
)

Evidence = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="Evidence bundle, quote, report, document or token; binary or in hex."
    ),
]
Hexes = Annotated[
    list[str], typer.Option("--measurement", metavar="HEX", help="A reference value of yours; repeat.")
]
_WIDTH = 11


@app.command()
def show(file: Evidence, as_json: AsJson = False) -> None:
    """Explain evidence in words. Believes nothing, verifies nothing."""
    from marketplace.sdk.attest_reading import read_file, recognise
    from marketplace.sdk.attest_words import UNVERIFIED, explain

    told = explain(recognise(read_file(file)))
    value: dict[str, object] = {
        "kind": told.kind,
        "bytes": told.size,
        "verified": False,
        "parts": [{"title": part.title, "facts": part.facts} for part in told.parts],
        "warnings": list(told.warnings),
        "note": UNVERIFIED,
    }
    emit(as_json, value, [*_told(told), UNVERIFIED])


@app.command()
def verify(
    file: Evidence,
    collateral: Annotated[
        Path | None,
        typer.Option("--collateral", metavar="FILE", help="What the vendors say; Nitro needs none."),
    ] = None,
    roots: Annotated[
        str, typer.Option("--roots", metavar="ID", help="Your trust anchor, such as intel or amd-genoa.")
    ] = "",
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="TOML with [trust], as in a profile.")
    ] = None,
    measurement: Hexes = [],  # noqa: B006 - typer copies defaults
    tcb: Annotated[
        list[str], typer.Option("--tcb", metavar="WORD", help="An accepted patch level; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    platform: Annotated[
        list[str],
        typer.Option("--platform", metavar="HEX", help="An accepted machine; repeat. Default: any."),
    ] = [],  # noqa: B006 - typer copies defaults
    at: Annotated[
        int | None, typer.Option("--at", metavar="UNIX", min=0, max=253402300799, help="When; default: now.")
    ] = None,
    report_data: Annotated[
        str, typer.Option("--report-data", metavar="HEX", help="The 64 bytes that must be bound.")
    ] = "",
    operator: Annotated[
        str, typer.Option("--operator", metavar="ADDRESS", help="Or the operator, with the next two.")
    ] = "",
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="WORD", help="certify, release, connect or serve.")
    ] = "",
    challenge: Annotated[
        str, typer.Option("--challenge", metavar="HEX", help="The value that you had asked with.")
    ] = "",
    event_log: Annotated[
        Path | None, typer.Option("--event-log", metavar="FILE", help="The boot log of a bare quote.")
    ] = None,
    unsafe_accept_simulated: Annotated[
        list[str],
        typer.Option("--unsafe-accept-simulated", metavar="ID", help="Let this SIMULATED root set count."),
    ] = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Verify evidence step by step, (0) to (9). One refusal fails the command.

    What you believe comes from you, never from the evidence. Without a policy nothing is accepted, and you
    are told what one would say.
    """
    import time

    from marketplace.sdk.attest_policy import accepted
    from marketplace.sdk.attest_reading import read_file, recognise
    from marketplace.sdk.attesting import judge, read_collateral, read_event_log

    rules = accepted(policy, roots, measurement, tcb, unsafe_accept_simulated, platform)
    found, now = recognise(read_file(file)), int(time.time()) if at is None else at
    judged = judge(
        found,
        read_collateral(collateral),
        rules,
        _wanted(report_data, operator, purpose, challenge),
        now=now,
        event_log=read_event_log(event_log),
    )
    if judged.simulated:
        simulated("this evidence ends in a development root")
    emit(as_json, _judged_json(judged, found.kind, now), _judged_lines(judged, found.kind, now))
    if judged.verified is None:
        raise typer.Exit(ExitCode.NOT_VERIFIED)


@app.command()
def collect(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the quote; a new file.")],
    report_data: Annotated[
        str, typer.Option("--report-data", metavar="HEX", help="64 bytes to bind; default: zeros.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask this CVM's hardware for evidence. Needs root."""
    from marketplace.sdk.attest_policy import hex_bytes
    from marketplace.sdk.attesting import collect as ask

    given = hex_bytes("--report-data", report_data, 64) if report_data else bytes(64)
    evidence, log = ask(out, given)
    if not report_data:
        note("it binds 64 zero bytes: it proves what runs here, and nothing about keys or time")
    lines = [f"{out}: {evidence.tee.value} evidence, {len(evidence.quote)} bytes"]
    lines += [f"{log}: its boot log, for --event-log"] if log else []
    emit(
        as_json,
        {"file": str(out), "tee": evidence.tee.value, "event_log": str(log) if log else None},
        [*lines, f"see `cloister attest show {out}`"],
    )


def _wanted(report_data: str, operator: str, purpose: str, challenge: str) -> Wanted:
    from enclave_runtime.wire.report_data import Purpose
    from marketplace.sdk.attest_policy import hex_bytes
    from marketplace.sdk.attesting import Wanted

    if purpose and purpose not in (*Purpose,):
        raise BadInputError("--purpose", repr(purpose[:40]), f"one of {', '.join(Purpose)}")
    return Wanted(
        hex_bytes("--report-data", report_data, 64) if report_data else None,
        hex_bytes("--operator", operator, 20) if operator else None,
        Purpose(purpose) if purpose else None,
        hex_bytes("--challenge", challenge, 32) if challenge else None,
    )


def _told(told: Explained) -> list[str]:
    lines = [f"{told.kind}, {told.size} bytes"]
    for part in told.parts:
        lines.append(f"{part.title}:")
        width = max(len(name) for name in part.facts)
        lines += [f"  {name.ljust(width)}  {value}" for name, value in part.facts.items()]
    return lines + [f"NOTE: {warning}" for warning in told.warnings]


def _judged_lines(judged: Judged, kind: str, now: int) -> list[str]:
    from enclave_runtime.wire.codec import hex_of

    lines = [f"{kind}, judged as of {moment(now)}"]
    for line in judged.lines:
        number = "( )" if line.number is None else f"({line.number})"
        said = f": {line.note}" if line.note else ""
        lines.append(f"{number} {line.outcome.value.ljust(_WIDTH)} {line.name}{said}")
        for name, value in (("got", line.got), ("expected", line.expected), ("what to do", line.todo)):
            lines += [f"      {name + ':':<11} {value}"] if value else []
    made = judged.suggestion
    if made is not None:
        tcb = f" --tcb {made.tcb}" if " " not in made.tcb else f" (patch level {made.tcb})"
        lines += [
            "a policy that accepts this would say (copied from the evidence: no reason to believe it):",
            f"  --roots {made.root_set or '?'} --measurement {made.measurement}{tcb}",
        ]
    if judged.verified is None:
        step = next(line for line in judged.lines if line.got)
        where = step.name if step.number is None else f"({step.number}) {step.name}"
        return [*lines, f"NOT VERIFIED: refused at {where}"]
    verified = judged.verified
    platform = _platform_id(verified)
    if platform is not None:
        lines.append(f"platform id, as `platforms` in a policy lists it: {platform}")
    for device in verified.devices:
        lines.append(f"{device.kind}, as `gpu.devices` in a policy lists it: {hex_of(device.device_id)}")
    return [*lines, f"VERIFIED: {verified.trust_class}, {verified.device_words}"]


def _platform_id(verified: VerifiedEvidence | None) -> str | None:
    """Return what a policy lists to name this machine; None where evidence names none."""
    if verified is None or verified.facts.get("chip id", "shown") != "shown":
        return None
    return "0x" + verified.platform_id_hash.hex()


def _judged_json(judged: Judged, kind: str, now: int) -> dict[str, object]:
    made, verified = judged.suggestion, judged.verified
    return {
        "kind": kind,
        "at": now,
        "verified": verified is not None,
        "simulated": judged.simulated,
        "root_set": judged.root_set or None,
        "tcb_status": verified.tcb_status if verified else None,
        "measurement": "0x" + verified.measurement.hex() if verified else None,
        "evidence_id": "0x" + verified.canonical_id.hex() if verified else None,
        "collateral_expires_at": verified.collateral_expires_at if verified else None,
        "facts": dict(verified.facts) if verified else {},
        "platform_id": _platform_id(verified),
        "devices": [device.words() for device in verified.devices] if verified else [],
        "device_ids": ["0x" + device.device_id.hex() for device in verified.devices] if verified else [],
        "steps": [
            {
                "number": line.number,
                "name": line.name,
                "outcome": line.outcome.value,
                "note": line.note,
                "got": line.got,
                "expected": line.expected,
                "todo": line.todo,
            }
            for line in judged.lines
        ],
        "suggestion": None
        if made is None
        else {"root_set": made.root_set, "measurement": made.measurement, "tcb": made.tcb},
    }
