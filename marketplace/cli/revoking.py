"""`cloister certifier revoke`: a certifier's own word, and the chain's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson, Yes, parse_id, session_of
from marketplace.cli.output import confirm, emit, moment
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from marketplace.certifier.config import CertifierConfig
    from marketplace.chain.reader import Reader
    from marketplace.sdk.profile import Session
    from marketplace.sdk.revoking import Standing

__all__ = ["revoke"]

_MaybeConfig = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A certifier's settings (TOML): revoke in its own list."),
]
_OnChain = Annotated[
    bool, typer.Option("--on-chain", help="Revoke in CvmRegistry too, with the profile's account.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; sign and send nothing.")]


def revoke(
    context: typer.Context,
    cvm: Annotated[str, typer.Argument(metavar="CVM", help="Its id, 0x-hex.")],
    config: _MaybeConfig = None,
    reason: Annotated[str, typer.Option("--reason", help="With --config: why; it is published.")] = "",
    on_chain: _OnChain = False,
    dry_run: _DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Vouch for a CVM no more, for good, and show what the chain says of it.

    With --config the certifier's own list says so at once. The chain reads no list: --on-chain ends the CVM
    there, from an account with the revoker's role. Either does alone.
    """
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import revoking

    cvm_id = parse_id(cvm, "CVM")
    settings = _settings(config, reason, on_chain)
    session = session_of(context) if on_chain else None
    before = _look(_reader(settings, session), cvm_id, needed=on_chain)
    send = session is not None and before is not None and before.state is not revoking.OnChain.REVOKED
    if session is not None and send and not dry_run:
        revoking.check_revoker(session)
        confirm(f"revoke CVM {hex_of(cvm_id)} on chain, for ever? its running orders end", yes=yes)
    value: dict[str, object] = {"cvm_id": hex_of(cvm_id), "dry_run": dry_run}
    lines = _listed(value, settings, cvm_id, reason, dry_run)
    if session is not None and send and not dry_run:
        sent = revoking.revoke(session, cvm_id)
        value["tx"], value["gas"] = sent.last, sent.gas(session)
        before = revoking.look(session.reader, cvm_id)
        lines.append(f"sent      {sent.last} ({value['gas']} gas)")
    value["chain"] = _chain_json(before)
    lines += _chain_lines(before, send and dry_run)
    if session is not None and dry_run:
        value["account"], value["delay_s"] = hex_of(session.address), revoking.waiting_time(session)
        lines.append(f"account   {value['account']} {_power(value['delay_s'])}")
    emit(as_json, value, lines)


def _power(delay: object) -> str:
    if delay is None:
        return "has not the revoker's role: the chain would refuse it"
    return f"is a revoker with a delay of {delay} s" if delay else "is a revoker"


def _settings(config: Path | None, reason: str, on_chain: bool) -> CertifierConfig | None:
    if config is None and not on_chain:
        raise BadInputError("where to revoke", "neither of them", "--config, --on-chain or both")
    if config is None and reason:
        raise BadInputError("--reason", "one without --config", "none: the chain keeps no reasons")
    if config is None:
        return None
    if not reason:
        raise BadInputError("--reason", "none", "why, in a sentence for people")
    from marketplace.certifier.config import load_config

    return load_config(config)


def _reader(settings: CertifierConfig | None, session: Session | None) -> Reader:
    """Return the chain as the profile sees it, else as the certifier does; both must mean one registry."""
    if settings is None:
        assert session is not None
        return session.reader
    from enclave_runtime.wire.codec import hex_of
    from marketplace.chain.deployments import Deployment
    from marketplace.chain.reader import Reader
    from marketplace.chain.rpc import Rpc
    from marketplace.service.limits import RPC_TIMEOUT_S

    theirs = Deployment.load(settings.deployment)
    if session is None:
        return Reader(Rpc(settings.rpc, timeout_s=RPC_TIMEOUT_S, retries=1), theirs)
    ours = session.deployment
    if (ours.chain_id, ours.cvm_registry) != (theirs.chain_id, theirs.cvm_registry):
        got = f"CvmRegistry {hex_of(ours.cvm_registry)} of chain {ours.chain_id} in the profile"
        expected = f"the certifier's {hex_of(theirs.cvm_registry)} of chain {theirs.chain_id}"
        raise BadInputError("deployment", got, expected)
    return session.reader


def _look(reader: Reader, cvm_id: bytes, *, needed: bool) -> Standing | None:
    """Return what the chain says; None where nobody asked it to do anything and the node is silent."""
    from marketplace.errors import ChainError
    from marketplace.sdk.revoking import look

    try:
        return look(reader, cvm_id)
    except ChainError:
        if needed:
            raise
        return None


def _listed(
    value: dict[str, object], settings: CertifierConfig | None, cvm_id: bytes, reason: str, dry_run: bool
) -> list[str]:
    """Revoke in the certifier's own list, if there is one; put down what was done."""
    from enclave_runtime.wire.codec import hex_of

    if settings is None:
        return []
    if dry_run:
        return [f"dry run: {settings.name} would sign that CVM {hex_of(cvm_id)} is revoked: {reason}"]
    from marketplace.certifier.admin import revoke_cvm

    value["new"] = revoke_cvm(settings, cvm_id, reason) is not None
    return [f"CVM {hex_of(cvm_id)} is revoked" + ("" if value["new"] else " already")]


def _chain_json(standing: Standing | None) -> dict[str, object]:
    from enclave_runtime.wire.codec import hex_of

    if standing is None:
        return {"state": "not asked"}
    return {
        "state": standing.state.value,
        "expires_at": standing.expires_at,
        "operator": hex_of(standing.operator) if any(standing.operator) else None,
        "contract": hex_of(standing.registry),
        "function": "revoke(bytes32)",
        "call": hex_of(standing.call),
    }


def _chain_lines(standing: Standing | None, rehearsed: bool) -> list[str]:
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk.revoking import OnChain

    if standing is None:
        return ["on chain  the node does not answer: ask again, a certificate may stand there"]
    call = f"CvmRegistry {hex_of(standing.registry)}, data {hex_of(standing.call)}"
    words = {
        OnChain.UNKNOWN: "nothing is registered under this id; revoking it keeps it out",
        OnChain.REGISTERED: f"registered, and good until {moment(standing.expires_at)}",
        OnChain.EXPIRED: "registered, out of date: it takes no order until it is renewed",
        OnChain.REVOKED: "revoked, for ever",
    }
    lines = [f"on chain  {words[standing.state]}"]
    if rehearsed:
        return ["dry run: nothing was sent", *lines, f"call      {call}"]
    if standing.state is not OnChain.REVOKED:
        lines += [
            "next      a revoker ends it: --on-chain with its profile, or this call",
            f"call      {call}",
        ]
    return lines
