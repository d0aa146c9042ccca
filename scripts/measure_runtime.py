#!/usr/bin/env python3
"""Prints the reference measurement of this checkout's runtime on the simulated platform, as JSON.

ReferenceValues and every policy are fed from it. The registers and the event log say what each part is, so
that two measurements that differ can be compared. Nothing is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from enclave_runtime.attestation.simulated.launch import sandbox_base  # noqa: E402 - found by the line above
from enclave_runtime.attestation.simulated.measure import locked_requirements, measure_runtime  # noqa: E402
from enclave_runtime.wire.errors import WireError  # noqa: E402


def main() -> int:
    """Print the measurement; return 1 where the runtime cannot be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runtime-dir", type=Path, default=ROOT, help="directory with enclave_runtime/")
    parser.add_argument("--requirements", type=Path, nargs="*", help="locked requirements of the runtime")
    args = parser.parse_args()
    requirements = args.requirements or locked_requirements(args.runtime_dir)
    try:
        measured = measure_runtime(args.runtime_dir, requirements, sandbox_base())
    except (OSError, WireError) as error:
        print(f"measure_runtime: {error}", file=sys.stderr)
        return 1
    reference = {
        "tee": "tdx",
        "measurement": measured.registers.measurement().hex(),
        "registers": measured.registers.to_json(),
        "events": json.loads(measured.event_log),
    }
    print(json.dumps(reference, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
