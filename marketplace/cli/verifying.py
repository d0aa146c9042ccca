"""`cloister verify`: the numbered checks of docs/protocol.md section 8, over a live order or an exported one.

`cloister verify ORDER` and `cloister verify --bundle FILE` verify; `cloister verify export` writes the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import AsJson, OrderId, parse_order, parse_sources, profile_of, session_of
from marketplace.cli.output import emit, progress, simulated
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from marketplace.sdk.settings import Trust
    from marketplace.sdk.verdict import Verdict

__all__ = ["app"]

_DEFAULT = "order"


class _OrderFirst(TyperGroup):
    """A group whose first command may be left out: `verify ORDER` is `verify order ORDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args[:1] and (args[0] in self.commands or args[0] in ("--help", "-h"))
        return super().parse_args(ctx, args if named or not args else [_DEFAULT, *args])


app = typer.Typer(
    cls=_OrderFirst,
    help="Verify an order down to the hardware root. `verify ORDER`, or `verify --bundle FILE`: no network.",
    no_args_is_help=True,
)

Source = Annotated[
    list[str],
    typer.Option(
        "--source", metavar="INDEX=FOLDER", help="Your own copy of an input, to be compared; repeat."
    ),
]


@app.command(_DEFAULT)
def verify(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Order id, read from chain and store.")] = "",
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="An export instead: no network is used.")
    ] = None,
    source: Source = [],  # noqa: B006 - typer copies defaults
    root_set: Annotated[
        str, typer.Option("--root-set", metavar="ID", help="Your trust anchor; default: the profile's.")
    ] = "",
    measurement: Annotated[
        list[str], typer.Option("--measurement", metavar="HEX", help="Your reference values; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    unsafe_accept_simulated: Annotated[
        bool, typer.Option("--unsafe-accept-simulated", help="Let a SIMULATED root set count.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Walk the ten numbered checks. Prints what each compared; one difference fails the command.

    What you believe (root set, measurements) comes from you or your profile, never from what is checked.
    """
    from marketplace.sdk import auditor

    if bool(order) == (bundle is not None):
        got = "both ORDER and --bundle" if order else "nothing"
        raise BadInputError("what to verify", got, "ORDER, or --bundle FILE")
    trust = _trust(context, root_set, measurement, unsafe_accept_simulated)
    sources = parse_sources(source)
    if bundle is not None:
        from marketplace.sdk.export import Export

        exported = Export.load(bundle)
        verdict = auditor.verify_export(bundle, trust, exported.own_digests(sources))
        _show(verdict, exported.facts.order_id, trust, as_json)
        return
    session = session_of(context, trust)
    identity = parse_order(session, order)
    with progress("reading the sealed result") as draw:
        verdict = auditor.verify(session, identity, sources, draw)
    _show(verdict, identity, trust, as_json)


@app.command()
def export(
    context: typer.Context,
    order: OrderId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    as_json: AsJson = False,
) -> None:
    """Write all that verifying needs to one file. For an auditor without a network."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import auditor

    session = session_of(context)
    identity = parse_order(session, order)
    made = auditor.export(session, identity, file)
    value: dict[str, object] = {"order_id": hex_of(identity), "file": str(file), "root_set": made.root_set}
    emit(
        as_json,
        value,
        [f"{file}: order {hex_of(identity)}", f"verify it with `cloister verify --bundle {file}`"],
    )


def _trust(context: typer.Context, root_set: str, measurements: list[str], unsafe: bool) -> Trust:
    """Return the auditor's own beliefs: the options where they are given, else the profile's."""
    from dataclasses import replace

    from enclave_runtime.wire.codec import bytes_from_hex
    from enclave_runtime.wire.errors import WireError
    from marketplace.sdk.settings import Trust

    trust = Trust() if root_set and measurements else profile_of(context).trust
    try:
        given = tuple(bytes_from_hex(text, 32) for text in measurements)
    except WireError as error:
        raise BadInputError("--measurement", str(error), "0x-hex of 32 bytes") from error
    return replace(
        trust,
        root_set=root_set or trust.root_set,
        measurements=given or trust.measurements,
        unsafe_accept_simulated=unsafe or trust.unsafe_accept_simulated,
    )


def _show(verdict: Verdict, order: bytes, trust: Trust, as_json: bool) -> None:
    from marketplace.cli.words import verdict_json, verdict_lines

    if verdict.simulated or trust.root_set.startswith("dev:"):
        simulated("this order is held against a development root")
    emit(as_json, verdict_json(verdict, order), verdict_lines(verdict, order))
    if not verdict.passed:
        raise typer.Exit(ExitCode.NOT_VERIFIED)
