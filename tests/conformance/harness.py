"""The Solidity libraries on a local chain, behind the harness contracts of tests/contracts/harness.

The compiler is the project's own; what it made is kept in .run/ under a digest of everything that went in.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.artifacts import Contract, parse_contract
from marketplace.chain.devchain import DevChain
from marketplace.chain.rpc import hex_data
from marketplace.chain.signer import Signer
from marketplace.chain.writer import Sender

__all__ = ["Harness"]

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("HashHarness", "SettlementHarness")


class Harness:
    """Both harness contracts, deployed; `call` runs one of their functions through eth_call."""

    def __init__(self, chain: DevChain) -> None:
        """Deploy on a running local chain."""
        signer = Signer.generate()
        chain.fund(signer.address)
        sender = Sender(chain.rpc, chain.chain_id, signer)
        self._rpc = chain.rpc
        self._contracts = compile_harness()
        self._at = {
            name: sender.send(b"", item.creation(), call=name).created
            for name, item in self._contracts.items()
        }

    def call(self, name: str, function: str, *arguments: Any) -> Any:
        """Return what `function` of harness `name` returns."""
        entry = self._contracts[name].functions[function]
        request = {"to": hex_of(self._at[name]), "data": hex_of(entry.call(*arguments)), "gas": hex(10**11)}
        return entry.returned(hex_data(self._rpc.call("eth_call", request, "latest")))


def compile_harness() -> dict[str, Contract]:
    """Return the harness contracts, compiled from the sources as they are."""
    request = _standard_input()
    text = json.dumps(request)
    kept = ROOT / ".run" / f"harness-{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
    if not kept.exists():
        made = subprocess.run(
            [ROOT / "tools" / "solc", "--standard-json"],
            input=text, capture_output=True, text=True, cwd=ROOT, check=True, timeout=240,
        ).stdout  # fmt: skip
        output = json.loads(made)
        errors = [
            item["formattedMessage"] for item in output.get("errors", []) if item["severity"] == "error"
        ]
        assert not errors, "\n".join(errors)
        found = {
            name: {"abi": item["abi"], "bytecode": item["evm"]["bytecode"]["object"]}
            for unit in output["contracts"].values()
            for name, item in unit.items()
            if name in NAMES
        }
        kept.parent.mkdir(exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(found))
        aside.replace(kept)
    record = json.loads(kept.read_text())
    return {name: parse_contract(name, record[name]["abi"], record[name]["bytecode"]) for name in NAMES}


def _standard_input() -> dict[str, Any]:
    profile = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    folders = [
        ROOT / "contracts" / "types",
        ROOT / "contracts" / "libraries",
        ROOT / "tests/contracts/harness",
    ]
    paths = [path for folder in folders for path in sorted(folder.glob("*.sol"))]
    harness = [str(path.relative_to(ROOT)) for path in paths if path.stem in NAMES]
    return {
        "language": "Solidity",
        "sources": {str(path.relative_to(ROOT)): {"content": path.read_text()} for path in paths},
        "settings": {
            "remappings": profile["remappings"],
            "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
            "evmVersion": profile["evm_version"],
            "viaIR": profile["via_ir"],
            "outputSelection": {name: {"*": ["abi", "evm.bytecode.object"]} for name in harness},
        },
    }
