"""Whole processes from file to file: ours and what a user would run instead, their starts included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bench.sealedlib.child import dump_info
from scripts.bench.sealedlib.contents import model_file, seal_file
from scripts.bench.sealedlib.rounds import Figures, Options, check, interleave
from scripts.bench.sealedlib.tools import Tool, absent

__all__ = ["measure"]

AGE, KEYGEN = Tool("age", "age"), Tool("age-keygen", "age")
SHA256SUM, OPENSSL, GPG = Tool("sha256sum", "coreutils"), Tool("openssl", "openssl"), Tool("gpg", "gpg")
GPGCONF, COPY = Tool("gpgconf", "gpgconf"), Tool("cp", "coreutils")
PASSPHRASE = b"not a secret: it protects random bytes for the length of a bench"


def measure(options: Options) -> dict[str, Any]:
    """Return speeds and the ratios against `age -d` and `sha256sum && age -d`."""
    plain = model_file(options.folder / "model.safetensors", options.mib)
    size = plain.stat().st_size
    found = cases(plain, options)
    try:
        figures = interleave(found, options)
    finally:
        if GPGCONF.path and GPG.path:
            GPGCONF.run("--homedir", str(options.folder / "gnupg"), "--kill", "all")
    goals = {}
    if AGE.path:
        goals["age_ratio"] = check(figures.ratio("age", "ours"), at_least=3.0)
        goals["sha256sum_age_ratio"] = check(figures.ratio("sha256sum_age", "ours"), at_least=8.0)
    for left in options.ram.glob("out*"):
        left.unlink()
    return {
        "gb_s": {name: figures.gb_s(name, size) for name in found},
        "times_faster_than": times(figures),
        "absent": absent(AGE, OPENSSL, GPG),
        "goals": goals,
    }


def times(figures: Figures) -> dict[str, float]:
    """Return how often ours is done while another is once."""
    return {name: figures.ratio(name, "ours") for name in figures.seconds if name != "ours"}


def cases(plain: Path, options: Options) -> dict[str, Callable[[], None]]:
    """Encrypt the model in each form; return what opens it again."""
    found = {
        "copy": lambda: run([COPY.name, str(plain), str(options.ram / "out.copy")]),
        "ours": ours(plain, options),
    }
    if AGE.path:
        found |= age(plain, options)
    if OPENSSL.path:
        found["openssl_enc_cbc"] = openssl(plain, options)
    if GPG.path:
        found["gpg"] = gpg(plain, options)
    return found


def ours(plain: Path, options: Options) -> Callable[[], None]:
    """Two threads; read, decrypt, hash, write, and every digest compared."""
    sealed, info = options.folder / "model.sealed", options.folder / "model.info"
    dump_info(seal_file(plain, sealed), info)
    child = Path(__file__).with_name("child.py")
    words = [sys.executable, str(child), "open", str(sealed), str(info), str(options.ram / "out.ours")]
    return lambda: run(words)


def age(plain: Path, options: Options) -> dict[str, Callable[[], None]]:
    """Encrypt to a key; decrypting by age alone, and after sha256sum, for age names no content."""
    key, sealed, out = options.folder / "age.key", options.folder / "model.age", options.ram / "out.age"
    run([KEYGEN.name, "-o", str(key)])
    recipient = KEYGEN.run("-y", str(key)).decode().strip()
    run([AGE.name, "-r", recipient, "-o", str(sealed), str(plain)])
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


def run(words: list[str]) -> None:
    """Run a program; what it prints is shown where it fails only."""
    done = subprocess.run(words, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
