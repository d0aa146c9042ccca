"""Who may know whom among the contracts (docs/architecture.md): types, libraries, contracts; mocks apart."""

from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, solidity_imports

CONTRACTS = sorted((ROOT / "contracts").rglob("*.sol"))

MAY_IMPORT = {
    "types": ("types",),
    "libraries": ("types", "libraries"),
    "interfaces": ("types", "libraries", "interfaces"),
    "verifiers": ("types", "libraries", "interfaces", "verifiers"),
}
"""What a folder may import of this project; contracts in no such folder may import all but mocks."""


def folder_of(path: str) -> str:
    """Return the folder of a contract, empty for one at the top."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else ""


def relative(path: Path) -> str:
    """Return a path as reports show it."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CONTRACTS, ids=relative)
def test_contract_imports_only_what_its_folder_may(path: Path) -> None:
    own = folder_of(relative(path))
    for target in solidity_imports(path):
        if not target.startswith("contracts/"):
            assert target.startswith("@openzeppelin/"), f"{relative(path)} imports {target}"
            continue
        assert own == "mocks" or folder_of(target) != "mocks", f"{relative(path)} imports the mock {target}"
        allowed = MAY_IMPORT.get(own)
        assert allowed is None or folder_of(target) in allowed, f"{relative(path)} imports {target}"


def test_contracts_have_no_import_cycle() -> None:
    graph = {
        relative(path): [t for t in solidity_imports(path) if t.startswith("contracts/")]
        for path in CONTRACTS
    }
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"cycle: {' -> '.join([*above[above.index(name) :], name])}"
        if name not in done:
            for target in graph[name]:
                walk(target, (*above, name))
            done.add(name)

    for name in graph:
        walk(name, ())
