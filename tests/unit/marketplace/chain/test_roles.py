"""The table of roles: whole, and the same in the deployer's file and in docs/governance.md."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TABLE = json.loads((ROOT / "marketplace/chain/roles.json").read_text())
ROLES = {role["name"]: role for role in TABLE["roles"]}


def test_every_function_has_a_role_and_every_role_a_number() -> None:
    assert {item["role"] for item in TABLE["functions"]} == set(ROLES) - {"admin"}
    assert len({role["id"] for role in ROLES.values()}) == len(ROLES)
    assert {role["guardian"] for role in ROLES.values()} <= set(ROLES)
    named = [(item["target"], item["signature"]) for item in TABLE["functions"]]
    assert len(named) == len(set(named))


def test_the_document_gives_each_role_its_number_delay_and_functions() -> None:
    text = (ROOT / "docs/governance.md").read_text()
    lines = {
        name: next(line for line in text.splitlines() if line.startswith(f"| {name} (")) for name in ROLES
    }
    for name, role in ROLES.items():
        days = role["delay_s"] // 86_400
        assert lines[name].startswith(f"| {name} ({role['id']}) | {f'{days} days' if days else 'none'} |")
        assert lines[name].rstrip("| ").rpartition("| ")[2] == (role["guardian"] if name != "admin" else "-")
    for item in TABLE["functions"]:
        line = lines[item["role"]]
        assert item["target"] in line
        assert f"`{item['signature'].partition('(')[0]}`" in line
