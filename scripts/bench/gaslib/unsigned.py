"""An OrderBook that believes reports nobody signed: what checking them costs is the difference.

Made from the sources by taking one statement out, so that everything else is what it is; never deployed
anywhere but on the bench's own chain.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType

__all__ = ["unsigned_order_book"]

ROOT = Path(__file__).resolve().parents[3]
SOURCE = "contracts/orders/OrderRunning.sol"
CHECK = "_checkSigned(id, _unrevoked(word.cvm()), _hashOf(order, count, id, report), report.r, report.vs);"
"""The statement in `_checkTerminal`."""


@functools.cache
def unsigned_order_book(*, asks_cvm: bool) -> bytes:
    """Return the creation code, without constructor arguments.

    Args:
        asks_cvm: whether it still looks up whether the CVM was revoked.
    Raises:
        ValueError: the statement is not there once, or what is left does not compile.
    """
    build = _build_script()
    job = build.standard_input()
    text = job["sources"][SOURCE]["content"]
    if text.count(CHECK) != 1:
        raise ValueError(f"{SOURCE}: the check of the report's signature is not there once: {CHECK}")
    rest = "_unrevoked(word.cvm());" if asks_cvm else ""
    job["sources"][SOURCE]["content"] = text.replace(CHECK, rest)
    wanted = {"contracts/OrderBook.sol": {"OrderBook": ["evm.bytecode.object"]}}
    job["settings"]["outputSelection"] = wanted
    done = subprocess.run(
        [ROOT / "tools" / "solc", "--standard-json"],
        input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    output = json.loads(done.stdout)
    errors = [item["formattedMessage"] for item in output.get("errors", []) if item["severity"] == "error"]
    if errors:
        raise ValueError(errors[0])
    code = output["contracts"]["contracts/OrderBook.sol"]["OrderBook"]["evm"]["bytecode"]["object"]
    return bytes.fromhex(code)


def _build_script() -> ModuleType:
    """Load scripts/build_artifacts, which knows the compiler's settings."""
    loader = importlib.machinery.SourceFileLoader(
        "build_artifacts", str(ROOT / "scripts" / "build_artifacts")
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise ValueError("scripts/build_artifacts cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
