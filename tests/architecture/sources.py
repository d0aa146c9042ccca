"""Reads what the source files of both languages import, without running any of them."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "imported_modules", "module_name", "python_files", "solidity_imports", "third_party"]

ROOT = Path(__file__).resolve().parents[2]
OURS = frozenset({"enclave_runtime", "marketplace"})
SOLIDITY_IMPORT = re.compile(
    r"""^\s*import\s(?:[^;"']*\sfrom\s+)?["']([^"']+)["']\s*;""", re.MULTILINE | re.DOTALL
)


def python_files(*packages: str) -> list[Path]:
    """List the modules of packages, given as dotted names; a package that does not exist has none."""
    return sorted(path for package in packages for path in (ROOT / package.replace(".", "/")).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name under which a file of the tree is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the dotted name of every module that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the rules read whole names"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(path: Path) -> set[str]:
    """Return the modules that a file imports from neither the standard library nor this project."""
    known = sys.stdlib_module_names | OURS
    return {name for name in imported_modules(path) if name.partition(".")[0] not in known}


def solidity_imports(path: Path) -> list[str]:
    """Return what a Solidity file imports: paths from the tree's root, or package paths as they stand."""
    found = []
    for target in SOLIDITY_IMPORT.findall(path.read_text()):
        inside = target.startswith(".")
        found.append(str((path.parent / target).resolve().relative_to(ROOT)) if inside else target)
    return found
