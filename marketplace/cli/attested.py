"""`cloister certifier attestation`: what holds a certifier's keys, for whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import AsJson, session_of
from marketplace.cli.output import emit, simulated

if TYPE_CHECKING:
    from marketplace.sdk.attested import Attested

__all__ = ["attestation"]


def attestation(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Of the certifier.")],
    address: Annotated[
        str, typer.Option("--address", metavar="ADDRESS", help="Its address; default: any of the quorum's.")
    ] = "",
    measurement: Annotated[
        list[str],
        typer.Option("--measurement", metavar="HEX", help="A certifier's image that you accept; repeat."),
    ] = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Ask a certifier what holds its keys, with a fresh challenge, and judge its evidence by your policy.

    Where it runs in no CVM it says so, signed. Exit status 0: verified evidence of a CVM; else 5.
    """
    import os
    import time
    from dataclasses import replace

    from enclave_runtime.wire.codec import bytes_from_hex, hex_of
    from enclave_runtime.wire.errors import RefusedError
    from marketplace.chain.signer import parse_address
    from marketplace.sdk import attested

    session = session_of(context)
    if measurement:
        named = tuple(bytes_from_hex(text, 32) for text in measurement)
        profile = session.profile
        session = session_of(context, replace(profile.trust, measurements=named))
    meant = attested.meant_by(session, parse_address(address) if address else None)
    challenge, now = os.urandom(32), int(time.time())
    body = attested.ask(url.rstrip("/"), challenge)
    try:
        found = attested.judge(
            body, meant, challenge, lambda evidence: session.anchor(evidence, now=now), now=now
        )
    except RefusedError as refusal:
        value = {"step": refusal.step, "got": refusal.got, "expected": refusal.expected}
        lines = [f"NOT VERIFIED: {refusal.step}", f"got       {refusal.got}", f"expected  {refusal.expected}"]
        emit(as_json, {"verified": False, "refusal": value}, lines)
        raise typer.Exit(ExitCode.NOT_VERIFIED) from None
    if found.verified is not None and found.verified.simulated:
        simulated("this certifier's evidence ends in a development root")
    verified = found.verified
    shown: dict[str, object] = {
        "verified": verified is not None,
        "certifier": found.identity.to_json(),
        "in_cvm": verified is not None,
        "trust_class": verified.trust_class if verified else None,
        "measurement": hex_of(verified.measurement) if verified else None,
        "tcb_status": verified.tcb_status if verified else None,
        "devices": [device.words() for device in verified.devices] if verified else [],
        "statement": found.statement,
    }
    emit(as_json, shown, _lines(found))
    if verified is None:
        raise typer.Exit(ExitCode.NOT_VERIFIED)


def _lines(found: Attested) -> list[str]:
    from enclave_runtime.wire.codec import hex_of

    identity, verified = found.identity, found.verified
    lines = [f"certifier    {identity.name}, {hex_of(identity.address)}"]
    lines.append(f"x509 root    sha256 {hex_of(identity.x509_root_sha256)}")
    if verified is None:
        return [
            *lines,
            f"keys         {found.statement}",
            "NOT VERIFIED: it said so under its key, and showed no evidence",
        ]
    lines.append(
        f"keys         in a CVM of {verified.tee.value}, {verified.tcb_status}, {verified.device_words}"
    )
    lines.append(f"measurement  {hex_of(verified.measurement)}")
    return [*lines, f"VERIFIED: {verified.trust_class}"]
