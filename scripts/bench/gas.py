#!/usr/bin/env python3
"""Gas of every operation of the market, as its sender pays it: `gasUsed` of whole transactions, local chain.

Accounts are warm (balances, allowances, nonces and totals that an operation touches are other than zero
before it), the token is OpenZeppelin's ERC20Permit, nothing stands behind a proxy. Each operation runs on its
own copy of one prepared market. The rules are Cancun's, which opBNB charges by; the same operations are also
measured under Osaka's, which price calldata by EIP-7623. Clock, keys and salts are fixed: a figure changes
when code does.

Prints one JSON object as its last line: per operation gas, budget, floor (21,000 + calldata + the storage
that no contract could do without), ratio to the floor. Exits with 1 where a budget is broken or a floor
claims storage that was not written. With --check it is the committed figures that count: one that is over its
budget there is named and passes, one that is not the committed one fails.

    python scripts/bench/gas.py [--json] [--check | --write] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
if VENV.exists() and Path(sys.prefix).resolve() != VENV.resolve():
    # Whoever starts this without the project's environment gets it all the same.
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), __file__, *sys.argv[1:]])
sys.path.insert(0, str(ROOT))

from scripts.bench.gaslib.budgets import BUDGETS, LIFE_GOAL, PEERS, REPORT_SURCHARGE  # noqa: E402
from scripts.bench.gaslib.report import (  # noqa: E402
    Measured,
    Operation,
    differences,
    load_snapshot,
    row,
    save_snapshot,
    slots_unwritten,
)
from scripts.bench.gaslib.stage import Stage, open_stage  # noqa: E402

SNAPSHOT = Path(__file__).with_name("gas_snapshot.json")
RULES = ("cancun", "osaka")
"""The first decides; the second is for the record."""


def measure(stage: Stage, operations: list[Operation]) -> dict[str, Measured]:
    """Run each operation on the prepared stage, which is put back after each."""
    found = {}
    for operation in operations:
        snapshot = stage.chain.snapshot()
        found[operation.name] = operation.run(stage)
        stage.chain.revert(snapshot)
    return found


def main() -> int:
    """Run the script; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--check", action="store_true", help="compare with the committed snapshot")
    parser.add_argument("--write", action="store_true", help="write the snapshot")
    parser.add_argument("--only", nargs="*", default=None, metavar="NAME", help="only these operations")
    options = parser.parse_args()
    from scripts.bench.gaslib.operations import OPERATIONS, prepare

    chosen = [item for item in OPERATIONS if options.only is None or item.name in options.only]
    measured: dict[str, dict[str, Measured]] = {}
    for rules in RULES:
        with open_stage(rules) as stage:
            prepare(stage)
            measured[rules] = measure(stage, chosen)
    report, problems, over = summary(measured, complete=options.only is None)
    figures = {rules: {name: item.gas for name, item in found.items()} for rules, found in measured.items()}
    if options.write:
        save_snapshot(SNAPSHOT, figures)
    if options.check:
        problems += differences(load_snapshot(SNAPSHOT), figures)
    else:
        problems += over
    report["problems"], report["over"], report["ok"] = problems, over, not problems
    if not options.json:
        print(table(report))
    for problem in problems if not options.check else [*problems, *over]:
        print(f"gas: {problem}", file=sys.stderr)
    print(json.dumps(report, sort_keys=True))
    return 1 if problems else 0


def summary(
    measured: dict[str, dict[str, Measured]], *, complete: bool
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the report, what is wrong with it in words, and what is over its budget."""
    found = measured[RULES[0]]
    rows = {name: row(name, item) for name, item in found.items()}
    for name, item in measured[RULES[1]].items():
        rows[name][f"gas_{RULES[1]}"] = item.gas
    over = [
        f"{name}: {line['gas']} gas, budget {line['budget']}"
        for name, line in rows.items()
        if not line["within"]
    ]
    problems = [f"{name}: floor: {word}" for name, item in found.items() for word in slots_unwritten(item)]
    report: dict[str, Any] = {"rules": RULES[0], "operations": rows, "peers": PEERS}
    if {"complete", "complete_unsigned"} <= rows.keys():
        added = rows["complete"]["gas"] - rows["complete_unsigned"]["gas"]
        report["report_check"] = {
            "gas": added,
            "budget": REPORT_SURCHARGE,
            "within": added <= REPORT_SURCHARGE,
        }
        if added > REPORT_SURCHARGE:
            over.append(f"checking a report adds {added} gas, budget {REPORT_SURCHARGE}")
    if "life" in rows:
        life = rows["life"]["gas"]
        line = rows["life"]
        report["life_goal"] = {
            "gas": LIFE_GOAL,
            "missing": max(0, life - LIFE_GOAL),
            # What there is to save: no transaction can do without the first three.
            "transactions": line["floor"] - line["calldata_gas"] - line["storage_gas"],
            "calldata": line["calldata_gas"],
            "storage": line["storage_gas"],
            "execution": life - line["floor"],
        }
        for peer in PEERS:
            peer["ratio"] = round(life / peer["gas"][0], 3)
    if complete and (missing := sorted(BUDGETS.keys() - rows.keys())):
        problems.append(f"not measured: {', '.join(missing)}")
    return report, problems, over


def table(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"{'operation':<24}{'gas':>9}{'budget':>9}{'floor':>9}{'ratio':>7}{'calldata':>10}{'storage':>9}"
    ]
    for name, line in report["operations"].items():
        mark = "" if line["within"] else "  OVER BUDGET"
        lines.append(
            f"{name:<24}{line['gas']:>9,}{line['budget'] or 0:>9,}{line['floor']:>9,}{line['ratio']:>7.2f}"
            f"{line['calldata_gas']:>10,}{line['storage_gas']:>9,}{mark}"
        )
    lines.append("life against peers, lowest figure of each:")
    lines += [
        f"  {peer['peer']:<40}{peer['gas'][0]:>11,}{peer.get('ratio', 0):>7.2f} x" for peer in report["peers"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
