"""Whole processes from file to file: ours and what a user would run instead, their starts included.

Sources are in the page cache. Each output is a new file on memory that was in use a moment ago: a virtual
machine gives free memory back to its host, and whoever takes it again waits longer than for anything
measured here. Ours is run as an installed program is: its bytecode is there. Four settings, each with its
own peers in the same rounds:
  as it is      contents of `mib`, onto the tmpfs that the machine has; every peer
  disk          the same, into the page cache of the file system that the scratch folder is on, where most
                people open; nobody waits for the disk below it; age and a copy
  large         four times that, where starts weigh less; age and a copy
  huge pages    contents of `mib`, onto a tmpfs mounted with `huge=within_size`: what small pages cost; no
                goal; age and a copy; for root, who may mount one
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.bench.sealedlib.child import dump_info
from scripts.bench.sealedlib.contents import model_file, seal_file
from scripts.bench.sealedlib.parts import PARTS, floor, parts
from scripts.bench.sealedlib.rounds import Figures, Options, check, interleave
from scripts.bench.sealedlib.tools import Tool, absent

__all__ = ["measure"]

AGE, KEYGEN = Tool("age", "age"), Tool("age-keygen", "age")
SHA256SUM, OPENSSL, GPG = Tool("sha256sum", "coreutils"), Tool("openssl", "openssl"), Tool("gpg", "gpg")
GPGCONF, COPY, MOUNT = Tool("gpgconf", "gpgconf"), Tool("cp", "coreutils"), Tool("mount", "mount")
PASSPHRASE = b"not a secret: it protects random bytes for the length of a bench"
TIMES = 4
"""How much larger large contents are."""


def measure(options: Options) -> dict[str, Any]:
    """Return speeds and the ratios against `age -d` and `sha256sum && age -d`."""
    report = _every_peer(options)
    goals = report.pop("goals")
    disk = options.folder / "disk"
    disk.mkdir()
    report["disk"] = _few_peers(replace(options, ram=disk), "model")
    goals |= {f"{name}_disk": goal for name, goal in report["disk"].pop("goals").items()}
    report["large"] = large = _large(options)
    goals |= large.pop("goals")
    with huge_tmpfs(options) as folder:
        if folder is None:
            report["absent"].append("a tmpfs with huge pages: only root may mount one")
        else:
            report["huge_pages"] = huge = _few_peers(replace(options, ram=folder), "model")
            del huge["goals"]
    return {**report, "goals": goals}


def _every_peer(options: Options) -> dict[str, Any]:
    plain = model_file(options.folder / "model.safetensors", options.mib)
    size = plain.stat().st_size
    found = cases(plain, options)
    found |= parts(options.folder / "model.sealed", options.ram / "out.parts", size)
    try:
        figures = interleave(found, options, before=lambda: _touch(options, size))
    finally:
        if GPGCONF.path and GPG.path:
            GPGCONF.run("--homedir", str(options.folder / "gnupg"), "--kill", "all")
    for name in ("cbc", "gpg"):
        (options.folder / f"model.{name}").unlink(missing_ok=True)
    return {**_report(figures, size), "absent": absent(AGE, OPENSSL, GPG)}


def _few_peers(options: Options, name: str) -> dict[str, Any]:
    """Open what lies sealed in the folder under `name` already."""
    source = options.folder / f"{name}.sealed"
    found = {"copy": _copy(source, options), "ours": _opened(name, options)}
    found |= parts(source, options.ram / "out.parts", source.stat().st_size)
    if AGE.path:
        found["age"] = _age_opened(name, options)["age"]
    size = source.stat().st_size
    return _report(interleave(found, options, before=lambda: _touch(options, size)), size)


def _large(options: Options) -> dict[str, Any]:
    plain = model_file(options.folder / "large.safetensors", TIMES * options.mib)
    ours(plain, options)
    if AGE.path:
        age(plain, options)
    plain.unlink()  # room in the page cache for what is read
    try:
        report = _few_peers(options, "large")
    finally:
        for left in options.folder.glob("large.*"):
            left.unlink()
    report["goals"] = {f"{name}_large": goal for name, goal in report["goals"].items()}
    return {"mib": TIMES * options.mib, **report}


def _report(figures: Figures, size: int) -> dict[str, Any]:
    goals = {}
    if AGE.path:
        goals["age_ratio"] = check(figures.ratio("age", "ours"), at_least=3.0)
    if "sha256sum_age" in figures.seconds:
        goals["sha256sum_age_ratio"] = check(figures.ratio("sha256sum_age", "ours"), at_least=8.0)
    return {
        "gb_s": {name: figures.gb_s(name, size) for name in figures.seconds if name not in PARTS},
        "times_faster_than": times(figures),
        "floor": floor(figures, "age"),
        "goals": goals,
    }


def _touch(options: Options, size: int) -> None:
    """Remove what the case before wrote, and use as much memory once as the next one will."""
    for left in options.ram.glob("out*"):
        left.unlink()
    os.sync()  # what the case before left to write takes no time of the next one
    zeros = bytes(1 << 20)
    with (options.ram / "out.touched").open("wb", buffering=0) as file:
        for _ in range(-(-size // len(zeros))):
            file.write(zeros)
    (options.ram / "out.touched").unlink()


@contextmanager
def huge_tmpfs(options: Options) -> Iterator[Path | None]:
    """Mount a tmpfs that uses huge pages where files are large enough; None for whoever may not."""
    folder = options.folder / "huge"
    folder.mkdir()
    size = f"size={options.mib * 2}m"
    words = [MOUNT.name, "-t", "tmpfs", "-o", f"huge=within_size,mode=0700,{size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def times(figures: Figures) -> dict[str, float]:
    """Return how often ours is done while another is once."""
    return {name: figures.ratio(name, "ours") for name in figures.seconds if name not in ("ours", *PARTS)}


def cases(plain: Path, options: Options) -> dict[str, Callable[[], None]]:
    """Encrypt the model in each form; return what opens it again."""
    found = {
        "copy": _copy(plain, options),
        "ours": ours(plain, options),
    }
    if AGE.path:
        found |= age(plain, options)
    if OPENSSL.path:
        found["openssl_enc_cbc"] = openssl(plain, options)
    if GPG.path:
        found["gpg"] = gpg(plain, options)
    return found


def _copy(source: Path, options: Options) -> Callable[[], None]:
    return lambda: run([COPY.name, str(source), str(options.ram / "out.copy")])


def ours(plain: Path, options: Options) -> Callable[[], None]:
    """Two threads; read, decrypt, hash, write, and every digest compared."""
    dump_info(seal_file(plain, plain.with_suffix(".sealed")), plain.with_suffix(".info"))
    return _opened(plain.stem, options)


def _opened(name: str, options: Options) -> Callable[[], None]:
    child = Path(__file__).with_name("child.py")
    files = [options.folder / f"{name}.sealed", options.folder / f"{name}.info", options.ram / "out.ours"]
    words = [sys.executable, str(child), "open", *map(str, files)]
    # As installed: bytecode is written once, here into scratch, and found from then on.
    environment = {"PYTHONPYCACHEPREFIX": str(options.folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    return lambda: run(words, environment)


def age(plain: Path, options: Options) -> dict[str, Callable[[], None]]:
    """Encrypt to a key; decrypting by age alone, and after sha256sum, for age names no content."""
    key = options.folder / "age.key"
    if not key.exists():
        run([KEYGEN.name, "-o", str(key)])
    recipient = KEYGEN.run("-y", str(key)).decode().strip()
    run([AGE.name, "-r", recipient, "-o", str(plain.with_suffix(".age")), str(plain)])
    return _age_opened(plain.stem, options)


def _age_opened(name: str, options: Options) -> dict[str, Callable[[], None]]:
    key, sealed, out = options.folder / "age.key", options.folder / f"{name}.age", options.ram / "out.age"
    opened = [AGE.name, "-d", "-i", str(key), "-o", str(out), str(sealed)]

    def both() -> None:
        run([SHA256SUM.name, str(sealed)])
        run(opened)

    return {"age": lambda: run(opened), "sha256sum_age": both}


def openssl(plain: Path, options: Options) -> Callable[[], None]:
    """AES-256-CBC, the mode of `openssl enc` that marketplaces use: it authenticates nothing."""
    sealed, out = options.folder / "model.cbc", options.ram / "out.cbc"
    password = options.folder / "cbc.pass"
    password.write_bytes(PASSPHRASE)
    common = ["-aes-256-cbc", "-pbkdf2", "-iter", "1000", "-pass", f"file:{password}"]
    run([OPENSSL.name, "enc", *common, "-in", str(plain), "-out", str(sealed)])
    return lambda: run([OPENSSL.name, "enc", "-d", *common, "-in", str(sealed), "-out", str(out)])


def gpg(plain: Path, options: Options) -> Callable[[], None]:
    """AES-256 under a passphrase, no compression."""
    home, sealed, out = options.folder / "gnupg", options.folder / "model.gpg", options.ram / "out.gpg"
    home.mkdir(mode=0o700)
    password = options.folder / "gpg.pass"
    password.write_bytes(PASSPHRASE)
    common = [
        *(GPG.name, "--homedir", str(home), "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"),
        *("--passphrase-file", str(password)),
    ]
    symmetric = ["--cipher-algo", "AES256", "--compress-algo", "none", "--symmetric"]
    run([*common, *symmetric, "-o", str(sealed), str(plain)])
    return lambda: run([*common, "-o", str(out), "-d", str(sealed)])


def run(words: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a program; what it prints is shown where it fails only."""
    done = subprocess.run(
        words, capture_output=True, env={**os.environ, "LC_ALL": "C", **(environment or {})}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
