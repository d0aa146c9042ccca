"""`cloister collateral`: what the vendors sign about a platform, into a file for places without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson
from marketplace.cli.output import emit, moment
from marketplace.errors import BadInputError, NotFoundError

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
        Path, typer.Argument(metavar="EVIDENCE", help="An evidence bundle, or a raw quote with --tee.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the statements go.")],
    source: Annotated[
        str,
        typer.Option("--from", metavar="SOURCE", help="vendor:FOLDER of a cache; default: one in your home."),
    ] = "",
    tee: Annotated[
        str, typer.Option("--tee", metavar="KIND", help="Of a raw quote: tdx, sgx or sev-snp.")
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
    found = open_source(where)(known, int(time.time()))
    data = found.to_bytes()
    _write(out, data)
    parts = [name for name in _PARTS if getattr(found, name) is not None]
    until = _first_end(found)
    lines = [f"{out}: {', '.join(parts) or 'nothing is needed'}, {len(data)} bytes"]
    lines += [f"the first revocation list in it ends at {moment(until)}"] if until else []
    emit(as_json, {"file": str(out), "parts": parts, "bytes": len(data), "lists_end_at": until}, lines)


def _evidence(path: Path, tee: str) -> Evidence:
    from enclave_runtime.attestation.bundle import MAX_BUNDLE_BYTES, EvidenceBundle
    from enclave_runtime.attestation.model import Evidence, TeeKind

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"evidence {path}: {error.strerror}") from error
    if not tee:
        return EvidenceBundle.from_bytes(data).evidence
    kinds = [kind.value for kind in TeeKind]
    if tee not in kinds:
        raise BadInputError("--tee", repr(tee[:20]), f"one of {', '.join(kinds)}")
    return Evidence(TeeKind(tee), data)


def _first_end(collateral: Collateral) -> int | None:
    """Return when the first revocation list ends, Unix time, in seconds, or None where there is none."""
    from cryptography import x509

    lists = [] if collateral.amd is None else [collateral.amd.crl]
    if collateral.intel is not None:
        lists += [collateral.intel.root_ca_crl, collateral.intel.pck_crl]
    ends = [x509.load_der_x509_crl(der).next_update_utc for der in lists]
    return min((int(end.timestamp()) for end in ends if end is not None), default=None)


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one step: a service may read it at any time."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        raise BadInputError("--out", f"{path}: {error.strerror}", "a place to write to") from error
