"""`cloister doctor`: everything that has to be true, and what to do about what is not."""

from __future__ import annotations

import typer

from marketplace.cli.options import AsJson, session_of
from marketplace.cli.output import emit

__all__ = ["doctor"]


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check all that has to be true, and say what to do. Wallet, nodes, store, sandbox, services."""
    from marketplace.sdk.doctor import Health, examine

    checks = list(examine(session_of(context)))
    bad = sum(check.health is Health.BAD for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.health.value:<5} {check.name}: {check.found}")
        lines += [f"      what to do: {check.todo}"] if check.todo and check.health is not Health.GOOD else []
    lines.append("everything is well" if not bad else f"{bad} of {len(checks)} checks failed")
    listed = [
        {"name": check.name, "health": check.health.value, "found": check.found, "todo": check.todo}
        for check in checks
    ]
    emit(as_json, {"checks": listed, "failed": bad}, lines)
    if bad:
        raise typer.Exit(1)
