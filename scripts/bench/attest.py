#!/usr/bin/env python3
"""Every vendor's real evidence at its stated time, beside the best published library in the same process.

One file per vendor in `scripts/bench/attestlib/` gives one row: how many checks of the record were tried and
missed, the median time of a whole verification, its ratio to the library run in turn with it, and what became
of copies with one byte changed. The record lies in ../shared/vectors beside the checkout; without it nothing
can be measured, and this says so. The last line is one JSON object; exit status 1 if any check was missed or
any changed copy accepted.

    python scripts/bench/attest.py --json
    python scripts/bench/attest.py tdx sgx
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).resolve().parent)]

from attestlib.result import VendorResult  # noqa: E402

VENDORS = ("tdx", "sgx", "sev_snp", "nvidia", "nitro", "cca")
VECTORS = REPOSITORY.parent / "shared" / "vectors" / "manifest.json"


def main() -> int:
    """Print the table, or with --json the object alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vendors", nargs="*", metavar="vendor", help=f"of {', '.join(VENDORS)}; default: all")
    parser.add_argument("--json", action="store_true", help="no table, only the object")
    args = parser.parse_args()
    unknown = sorted(set(args.vendors) - set(VENDORS))
    if unknown:
        parser.error(f"unknown vendors: {', '.join(unknown)}")
    if not VECTORS.is_file():
        print("attest: no real evidence beside the checkout (../shared/vectors)", file=sys.stderr)
        return 1
    results = {name: run_vendor(name) for name in args.vendors or available()}
    if not args.json:
        print(table(results))
    print(json.dumps(summary(results)))
    return 1 if any(bad(result) for result in results.values()) else 0


def available() -> list[str]:
    """Return the vendors that have a file."""
    folder = Path(__file__).resolve().parent / "attestlib"
    return [name for name in VENDORS if (folder / f"{name}.py").is_file()]


def run_vendor(name: str) -> VendorResult:
    """Return one row."""
    result = importlib.import_module(f"attestlib.{name}").run()
    assert isinstance(result, VendorResult), name
    return result


def bad(result: VendorResult) -> bool:
    """Return whether a row shows a defect; slowness is none."""
    return bool(result.missed or result.flips.accepted or result.flips.raised)


def summary(results: dict[str, VendorResult]) -> dict[str, Any]:
    """Return the object of the last line."""
    return {
        "vendors": {name: row(result) for name, result in results.items()},
        "flips_tried": sum(result.flips.tried for result in results.values()),
        "flips_accepted": sum(len(result.flips.accepted) for result in results.values()),
        "flips_raised": sum(len(result.flips.raised) for result in results.values()),
    }


def row(result: VendorResult) -> dict[str, Any]:
    """Return one vendor's figures."""
    return {
        "tried": result.tried,
        "missed": len(result.missed),
        "missed_names": list(result.missed),
        "ms": round(result.ms, 4),
        "peer": result.peer,
        "peer_ms": None if result.peer_ms is None else round(result.peer_ms, 4),
        "ratio": None if result.ratio is None else round(result.ratio, 3),
        "flips_tried": result.flips.tried,
        "flips_accepted": len(result.flips.accepted),
        "flips_slowest_ratio": result.flips.slowest,
        **result.more,
    }


def table(results: dict[str, VendorResult]) -> str:
    """Return the table for people."""
    names = f"{'vendor':10} {'tried':>5} {'missed':>6} {'ms':>8} {'peer ms':>8} {'ratio':>6}"
    lines = [f"{names} {'flips':>7} {'taken':>5}  peer"]
    for name, result in results.items():
        peer = "-" if result.peer_ms is None else f"{result.peer_ms:.3f}"
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        lines.append(
            f"{name:10} {result.tried:5} {len(result.missed):6} {result.ms:8.3f} {peer:>8} {ratio:>6}"
            f" {result.flips.tried:7} {len(result.flips.accepted):5}  {result.peer}"
        )
        lines += [f"  missed: {missed}" for missed in result.missed]
        lines += [f"  raised: {raised}" for raised in result.flips.raised]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
