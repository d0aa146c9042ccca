"""`cloister collateral`: what the vendors sign about a platform, into a file for places without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson
from marketplace.cli.output import emit, moment
from marketplace.errors import BadInputError

if TYPE_CHECKING:
    from enclave_runtime.attestation.collateral import Collateral
    from enclave_runtime.attestation.model import Evidence

__all__ = ["app"]

app = typer.Typer(help="Fetch what hardware vendors sign about their platforms.", no_args_is_help=True)

_PARTS = ("intel", "amd", "nvidia", "cca")


@app.command()
def fetch(
    context: typer.Context,
    evidence: Annotated[
        Path,
        typer.Argument(metavar="EVIDENCE", help="A bundle, quote, report, document or token; binary or hex."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the statements go.")],
    source: Annotated[
        str,
        typer.Option("--from", metavar="SOURCE", help="vendor:FOLDER of a cache; default: one in your home."),
    ] = "",
    tee: Annotated[
        str,
        typer.Option("--tee", metavar="KIND", help="What EVIDENCE must be, such as tdx; default: any."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask the vendors for all that a verifier of EVIDENCE needs. Nothing is verified here.

    "file:FILE" in settings reads what this writes. Repeat it before the shown time.
    """
    import time

    from marketplace.collateral.sources import open_source
    from marketplace.sdk.profile import default_home

    known = _evidence(evidence, tee)
    scheme, colon, path = (source or f"vendor:{(context.obj or default_home()) / 'collateral'}").partition(
        ":"
    )
    where = f"{scheme}:{Path(path).absolute()}" if colon else scheme
    _tell(open_source(where)(known, int(time.time())), out, as_json)


@app.command()
def pack(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the statements go.")],
    vek: Annotated[
        Path | None, typer.Option("--vek", metavar="FILE", help="AMD: certificate of a VLEK, or VCEK.")
    ] = None,
    chain: Annotated[
        list[Path], typer.Option("--chain", metavar="FILE", help="AMD: its ASK or ASVK, and ARK; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    crl: Annotated[
        Path | None, typer.Option("--crl", metavar="FILE", help="AMD: the ARK's revocation list.")
    ] = None,
    cpak: Annotated[
        list[Path], typer.Option("--cpak", metavar="FILE", help="Arm CCA: a platform's public key; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    token: Annotated[
        list[Path], typer.Option("--token", metavar="FILE", help="Arm CCA: a token of that platform; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Write collateral from files, for keys that no service hands out. Nothing is verified here.

    Certificates, lists and keys are PEM or DER, keys also JWK.
    """
    from enclave_runtime.attestation.collateral import Collateral
    from marketplace.sdk.collateral_packing import amd_from_files, cca_from_files

    if vek is None and not cpak:
        raise BadInputError("--vek, --cpak", "neither", "what to pack: one of them at least")
    found = Collateral()
    if vek is not None:
        if crl is None:
            raise BadInputError("--crl", "none", "the ARK's revocation list: every verifier asks for it")
        found |= Collateral(amd=amd_from_files(vek, chain, crl))
    if cpak:
        found |= Collateral(cca=cca_from_files(cpak, token))
    _tell(found, out, as_json)


def _evidence(path: Path, tee: str) -> Evidence:
    """Return the evidence in a file, of whatever kind; `tee` only checks which, where it is said."""
    from enclave_runtime.attestation.model import Evidence, TeeKind
    from marketplace.sdk.attest_reading import read_file, recognise

    kinds = [kind.value for kind in TeeKind]
    if tee and tee not in kinds:
        raise BadInputError("--tee", repr(tee[:20]), f"one of {', '.join(kinds)}")
    found = recognise(read_file(path))
    if found.tee is None or found.quote is None:
        raise BadInputError(
            "evidence file", f"{found.kind} on its own", "the evidence bundle that it came in"
        )
    if tee and tee != found.tee.value:
        raise BadInputError("--tee", tee, f"{found.tee.value}, which {path} is, or no --tee at all")
    if found.bundle is not None:
        return found.bundle.evidence
    return Evidence(found.tee, found.quote[: len(found.quote) - found.padding])


def _tell(found: Collateral, out: Path, as_json: bool) -> None:
    """Write collateral, and say what is in it and for how long."""
    from marketplace.collateral.dates import first_end

    end = first_end(found)
    data = found.to_bytes()
    _write(out, data)
    parts = [name for name in _PARTS if getattr(found, name) is not None]
    lines = [f"{out}: {', '.join(parts) or 'nothing is needed'}, {len(data)} bytes"]
    if end is not None:
        lines.append(f"the first to end is {end[1]}, at {moment(end[0])}: repeat this before")
    value = {"file": str(out), "parts": parts, "bytes": len(data)}
    first = {"ends_at": end[0] if end else None, "ends_first": end[1] if end else None}
    emit(as_json, value | first, lines)


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one step: a service may read it at any time."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        raise BadInputError("--out", f"{path}: {error.strerror}", "a place to write to") from error
