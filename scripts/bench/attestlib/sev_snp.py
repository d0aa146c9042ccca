"""AMD SEV-SNP: ours against `omne-attest`, where it is installed, on the Genoa report of the record.

Of the Python packages published for this, `omne-attest` 0.1.0 verifies a report offline, given a chain, the
fastest (signature, chain, chip, policy; no dates, no revocation); `sev-attest-tool` 0.2.4 (Rust, Milan only,
reports as JSON, panics on a bad signature) and `tinfoil` 0.15.0 (Genoa only) take 1.5 times as long;
`dk-tee-attestation`, `secretvm-verify` and `cvm-attest` fetch certificates over the network as they verify.

`ms` is a machine seen for the first time; `ms_cached` one whose chain was verified before; `ms_first` the
first one of a product line. `ms_bare_cryptography` is the limit: two RSA-PSS checks and one ECDSA check on
keys loaded beforehand. One P-384 check alone is four tenths of the peer, so that no cache gets below that:
0.40 ms by `cryptography` 50, whose OpenSSL 4.0 has the code made for this curve (its table is in the wheel's
library), where Debian's OpenSSL 3.0, without it, takes 0.69 ms and pycryptodome 3.3 ms. AWS-LC (`awscrt`
0.38, no dependency of ours) takes 0.22 ms: a quarter of the peer, before anything else is judged.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from attestlib.result import Flips, VendorResult, after, flip_bytes, interleaved
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp import chain, layout
from tests.evidence import amd_vectors
from tests.evidence.amd_vectors import SnpVector

__all__ = ["run"]

_PEER = "omne-attest"


def run() -> VendorResult:
    """Return the row."""
    items = amd_vectors.reports()
    missed = tuple(item.name for item in items if item.outcome() != item.expected)
    timed = next(item for item in items if item.collateral.product == "Genoa" and item.expected == "ok")
    ours = timed.verification()
    runs = (ours, after(chain.forget_chains, ours), after(chain.clear_cache, ours))
    limit = _bare(timed)
    with _library(timed) as (name, peer):
        cached, whole, first, bare, theirs = interleaved(*runs, limit, peer or limit)
    more: dict[str, float | str] = {
        "ms_cached": round(cached, 4),
        "ms_first": round(first, 4),
        "ms_bare_cryptography": round(bare, 4),
    }
    if peer is not None:
        more |= {"ratio_cached": round(cached / theirs, 3), "ratio_first": round(first / theirs, 3)}
    peer_ms = None if peer is None else theirs
    return VendorResult(len(items), missed, whole, name, peer_ms, _flips(timed), more)


def _flips(item: SnpVector) -> Flips:
    """Flip every byte of the report and of each certificate."""
    ours = item.verification()
    found = [flip_bytes(item.report, range(layout.REPORT_BYTES), lambda data: ours(report=data))]
    for part in ("vek", "ask", "ark"):
        data = getattr(item.collateral, part)

        def verify(spoiled: bytes, part: str = part) -> object:
            return ours(collateral=replace(item.collateral, **{part: spoiled}))

        found.append(flip_bytes(data, range(len(data)), verify))
    return Flips.together(found)


@contextmanager
def _library(item: SnpVector) -> Iterator[tuple[str, Callable[[], object] | None]]:
    """Give the library's verification of the same report, or None where it is not installed."""
    try:
        library = importlib.import_module("omne_attest.snp")
    except ImportError:
        yield f"none: {_PEER} is not installed", None
        return
    collateral, report = item.collateral, layout.parse_report(item.report)[0]
    policy = library.Policy(measurement=report.measurement, report_data=report.report_data)
    pin = RootSet.amd(collateral.product).der_sha256

    def verify() -> object:
        return library.verify(item.report, collateral.vek, collateral.ask, collateral.ark, pin, policy)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial number 0, once per certificate that it loads
        yield f"{_PEER} {metadata.version(_PEER)}", verify


def _bare(item: SnpVector) -> Callable[[], object]:
    """Return the three signature checks alone, everything parsed and loaded beforehand."""
    found = chain.load_chain(item.collateral, RootSet.amd(item.collateral.product))
    _, r, s = layout.parse_report(item.report)
    ask_key = chain.rsa_key(found.ask)
    signature, signed = encode_dss_signature(r, s), item.report[: layout.SIGNED_BYTES]

    def verify() -> None:
        found.ark_key.verify(found.ask.signature, found.ask.tbs, chain.PSS, hashes.SHA384())
        ask_key.verify(found.vek.signature, found.vek.tbs, chain.PSS, hashes.SHA384())
        found.vek_key.verify(signature, signed, ec.ECDSA(hashes.SHA384()))

    return verify
