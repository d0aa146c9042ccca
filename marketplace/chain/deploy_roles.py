"""Who may call what after a deployment: roles.json as steps on the AccessManager (protocol 4.5)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.artifacts import contract
from marketplace.chain.deploy_steps import Answers, Step, asks

__all__ = ["ROLES", "Role", "role_steps"]

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the AccessManager: who guards it, how long its calls wait, what it may call."""

    name: str
    number: int
    delay_s: int
    guardian: str
    functions: tuple[tuple[str, str], ...]
    """Pairs of contract name and function signature."""


def _read_roles() -> dict[str, Role]:
    table = json.loads(Path(__file__).with_name("roles.json").read_text())
    return {
        item["name"]: Role(
            item["name"],
            item["id"],
            item["delay_s"],
            item["guardian"],
            tuple(
                (entry["target"], entry["signature"])
                for entry in table["functions"]
                if entry["role"] == item["name"]
            ),
        )
        for item in table["roles"]
    }


ROLES: Final = _read_roles()


def role_steps(
    people: Mapping[str, tuple[bytes, int]], deployer: bytes, at: Mapping[str, bytes]
) -> Iterator[Step]:
    """Yield what gives the roles away; the administrator's own comes last: it ends the deployer's power.

    Args:
        people: holder, and delay in seconds, of each role of `ROLES`.
        at: where each contract stands; functions of contracts that are not deployed are left out.
    """
    for role in ROLES.values():
        for target in dict.fromkeys(name for name, _ in role.functions if name in at):
            yield _guard(role, target, at)
    authority = at["Authority"]
    for role in ROLES.values():
        if role.number:
            yield _grant(role, *people[role.name], authority)
    admin, delay = people["admin"]
    if admin != deployer or delay:
        yield _admin_grant(admin, delay, authority)
    if admin != deployer:
        data = contract("Authority").functions["renounceRole"].call(0, deployer)
        gone = _has_role(authority, 0, deployer, member=False, delay=0)
        yield Step("give up the administrator's role", (gone,), authority, data)


def _guard(role: Role, target: str, at: Mapping[str, bytes]) -> Step:
    selectors = [keccak256(text.encode())[:4] for name, text in role.functions if name == target]
    authority = contract("Authority").functions
    data = authority["setTargetFunctionRole"].call(at[target], selectors, role.number)
    done = tuple(
        asks("Authority", at["Authority"], "getTargetFunctionRole", at[target], item, answer=role.number)
        for item in selectors
    )
    return Step(f"{target}: {len(selectors)} functions for role {role.name}", done, at["Authority"], data)


def _grant(role: Role, holder: bytes, delay: int, authority: bytes) -> Step:
    functions = contract("Authority").functions
    guardian = ROLES[role.guardian].number
    calls = [
        functions["labelRole"].call(role.number, role.name),
        functions["setRoleGuardian"].call(role.number, guardian),
        functions["grantRole"].call(role.number, holder, delay),
    ]
    done = (
        asks("Authority", authority, "getRoleGuardian", role.number, answer=guardian),
        _has_role(authority, role.number, holder, member=True, delay=delay),
    )
    words = f"role {role.name} for {hex_of(holder)}, guarded by {role.guardian}, {delay} s delay"
    return Step(words, done, authority, functions["multicall"].call(calls))


def _admin_grant(admin: bytes, delay: int, authority: bytes) -> Step:
    data = contract("Authority").functions["grantRole"].call(0, admin, delay)
    done = (_has_role(authority, 0, admin, member=True, delay=delay),)
    return Step(f"role admin for {hex_of(admin)}, {delay} s delay", done, authority, data)


def _has_role(authority: bytes, role: int, account: bytes, *, member: bool, delay: int) -> Answers:
    data = contract("Authority").functions["hasRole"].call(role, account)
    answer = int(member).to_bytes(_WORD, "big") + delay.to_bytes(_WORD, "big")
    return Answers(f"role {role} of {hex_of(account)}", authority, data, answer)
