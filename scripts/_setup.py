"""Brings a checkout to where the demo or the tests can run; a second run finds it so and ends at once.

Standard library only: it runs before anything is installed, under the machine's own Python. It installs from
PyPI and npm by hash, and from Debian by name, through their ordinary clients, and names no registry: the
clients know theirs. Python packages go to `.venv` (ape to `.venv-contracts`, slither to `.venv-analysis`),
the rest to `node_modules` (the IPFS node to one of its own); what was installed from which lock is written
down inside each of them, so that a folder removed or half made is seen and made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
RUN = ROOT / ".run"
LOG = RUN / "setup.log"
MAIN, CONTRACTS, NODE = ROOT / ".venv", ROOT / ".venv-contracts", ROOT / "node_modules"
ANALYSIS = ROOT / ".venv-analysis"
IPFS = ROOT / "scripts" / "ipfs-node" / "node_modules"
NODE_MIN = 20
NODE_TOOLS = ("anvil", "forge", "cast", "solhint")
# Pure Python that was published as source only (scripts/lock has the same): varint for the IPFS client and
# for ape, the other two for ape.
SDISTS = {MAIN: "varint", CONTRACTS: "lazyasd,python-baseconv,varint"}
CLEAN_PIP = ("--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar=off")


class SetupError(Exception):
    """Set-up cannot go on; the message says what a person can do about it."""


def say(message: str) -> None:
    """Print to standard error: standard output belongs to the command that set-up is for."""
    print(f"setup: {message}", file=sys.stderr, flush=True)


def read_stamp(path: Path) -> dict[str, Any]:
    """Return what was written down about a part, or nothing where that cannot be read."""
    try:
        stamp = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


@dataclass(frozen=True)
class Part:
    """One thing to install: sizes are what a fresh machine sees, in MB (1e6 bytes)."""

    name: str
    where: Path
    key: str
    """Changes when the part must be installed again."""
    download_mb: int
    disk_mb: int
    install: Callable[[], None]
    holds: frozenset[str]
    """The Python packages that it installs, or the commands: those that must stay for it to be in place."""

    @property
    def stamp(self) -> Path:
        return self.where / ".cloister-setup" / self.name.replace(" ", "-")

    def is_due(self) -> bool:
        """Whether the folder lacks this part, holds another version of it, or lost a package since."""
        stamp = read_stamp(self.stamp)
        same = stamp.get("key") == self.key and stamp.get("root") == str(ROOT)
        return not (same and all((self.where / package).exists() for package in stamp.get("packages", [])))

    def done(self) -> None:
        """Write down that the part is there, with the files that must stay for it to be so."""
        found = [*self.where.glob("lib/python3.*/site-packages/*.dist-info"), *self.where.glob(".bin/*")]
        kept = [str(path.relative_to(self.where)) for path in found if package_of(path) in self.holds]
        self.stamp.parent.mkdir(exist_ok=True)
        partial = self.stamp.with_suffix(".new")
        partial.write_text(json.dumps({"key": self.key, "root": str(ROOT), "packages": sorted(kept)}))
        partial.replace(self.stamp)


def package_of(path: Path) -> str:
    """Return the package, as its index spells it, of a `.dist-info` folder; of any other file its name."""
    name = path.name.partition("-")[0] if path.suffix == ".dist-info" else path.name
    return re.sub(r"[-_.]+", "-", name).lower()


def digest(*parts: Path | str) -> str:
    """Name the given files and words together: any change in any of them gives another name."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def run(args: Sequence[str | Path], *, echo: str = "", env: dict[str, str] | None = None) -> None:
    """Run a command with its output in the log; lines that match `echo` are shown as they come.

    Raises:
        SetupError: the command failed; the message ends with what it printed last.
    """
    words = [str(arg) for arg in args]
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(words)}\n")
        log.flush()
        tail: list[str] = []
        process = subprocess.Popen(
            words, cwd=ROOT, env=env, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                log.write(line)
                tail = [*tail[-11:], line.rstrip()]
                if echo and (found := re.search(echo, line)):
                    say(f"  {found.group(0).strip()}")
    if process.returncode != 0:
        said = "\n  ".join(tail)
        raise SetupError(f"`{' '.join(words[:6])} ...` ended with {process.returncode}:\n  {said}")


def missing_debian_packages() -> list[str]:
    """Name the Debian packages without which nothing here can run."""
    wanted = []
    if shutil.which("bwrap") is None:
        wanted.append("bubblewrap")
    if importlib.util.find_spec("ensurepip") is None:
        wanted.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return wanted


def as_root() -> list[str] | None:
    """Return what to put before a command to run it as root, or None where this user may not."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if (
        shutil.which("sudo")
        and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    ):
        return sudo
    return None


def install_debian(packages: Sequence[str]) -> None:
    """Install Debian packages, or say the exact line that an administrator has to run.

    Raises:
        SetupError: this user may not install packages, or there is no apt.
    """
    prefix = as_root()
    line = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if prefix is None or shutil.which("apt-get") is None:
        raise SetupError(
            f"missing from this machine: {', '.join(packages)}. Ask an administrator to run\n"
            f"  sudo {' '.join(line)}\nand start again."
        )
    say(f"installing from Debian: {' '.join(packages)} (about 1 MB each)")
    quiet = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    try:
        run([*quiet, *line])
    except SetupError:  # most often the lists of packages are old or were never fetched
        run([*quiet, "apt-get", "update"])
        run([*quiet, *line])


def check_node() -> None:
    """Make sure that Node is there and recent enough.

    Raises:
        SetupError: it is not.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SetupError(f"Node {NODE_MIN} or newer with npm is needed, and `node` or `npm` is not on PATH")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = re.match(r"v(\d+)\.", said)
    if major is None or int(major.group(1)) < NODE_MIN:
        raise SetupError(f"Node {NODE_MIN} or newer is needed, and `node --version` says {said or 'nothing'}")


def python_of(venv: Path) -> str:
    """Return the version of a virtual environment's Python that runs and has pip, else an empty string."""
    probe = "import sys, importlib.util as u; assert u.find_spec('pip'); print(sys.version.split()[0])"
    command = [str(venv / "bin" / "python"), "-I", "-c", probe]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 and said.stdout.startswith(("3.11.", "3.12.")) else ""


def moved(venv: Path) -> bool:
    """Whether the folder was made for another place: its commands then start the wrong Python."""
    stamps = [read_stamp(path) for path in venv.glob(".cloister-setup/*")]
    return any(stamp.get("root") != str(ROOT) for stamp in stamps)


def ensure_venv(venv: Path) -> str:
    """Make the virtual environment where it is missing or broken; return its Python's version."""
    if venv.exists() and (not python_of(venv) or moved(venv)):
        say(f"{venv.name} is broken or was made elsewhere: making it again")
        shutil.rmtree(venv)
    if not venv.exists():
        say(f"making an empty Python environment in {venv.name} (15 MB, nothing is downloaded)")
        run([sys.executable, "-I", "-m", "venv", venv])
    version = python_of(venv)
    if not version:
        raise SetupError(f"the environment just made in {venv.name} does not run; see {LOG}")
    return version


def pip(venv: Path, *args: str | Path) -> None:
    """Run an environment's own pip; downloads of 10 MB and more are shown."""
    command = [venv / "bin" / "python", "-I", "-m", "pip", *args]
    run(command, echo=r"Downloading [A-Za-z0-9_]+-[0-9][^-]*\S* \((\d{2,} MB|\d{2,}\.\d MB|[\d.]+ GB)\)")


def python_part(
    name: str, venv: Path, version: str, locks: Sequence[str], *, download_mb: int, disk_mb: int
) -> Part:
    """Describe packages that come from lock files by hash; wheels only, but for those of `SDISTS`."""
    paths = [LOCKS / f"{lock}.txt" for lock in locks]
    kinds = ["--only-binary=:all:"]
    if venv in SDISTS:
        kinds += [f"--no-binary={SDISTS[venv]}", "--no-build-isolation", "--use-pep517"]

    def install() -> None:
        for path in paths:
            pip(venv, "install", *CLEAN_PIP, "--require-hashes", *kinds, "-r", path)

    holds = frozenset(
        re.findall(r"^([a-z0-9-]+)==", "\n".join(path.read_text() for path in paths), re.MULTILINE)
    )
    return Part(name, venv, digest(version, *paths), download_mb, disk_mb, install, holds)


def offered_cpu_torch(venv: Path) -> bool:
    """Ask pip whether it would find the CPU build of torch whose hash the lock names."""
    try:
        args = (*CLEAN_PIP, "--dry-run", "--ignore-installed", "--require-hashes", "--only-binary=:all:")
        run([venv / "bin" / "python", "-I", "-m", "pip", "install", *args, "-r", LOCKS / "torch-cpu.in"])
    except SetupError:
        return False
    return True


def torch_part(version: str) -> Part:
    """Describe torch: the CPU build where pip is offered it, else PyPI's own with NVIDIA's libraries."""
    cpu = python_part("torch", MAIN, version, ["torch-cpu"], download_mb=208, disk_mb=910)
    pypi = python_part("torch", MAIN, version, ["torch-pypi"], download_mb=2740, disk_mb=4850)
    for part in (cpu, pypi):
        if not part.is_due():
            return part
    return cpu if offered_cpu_torch(MAIN) else pypi


def project_part(version: str) -> Part:
    """Describe the project itself, importable from where it lies, with its command."""

    def install() -> None:
        editable = ("--no-build-isolation", "--config-settings=editable_mode=compat", "-e", ROOT)
        pip(MAIN, "install", *CLEAN_PIP, *editable)

    key = digest(version, ROOT / "pyproject.toml", *sorted(LOCKS.glob("*.in")))
    return Part("project", MAIN, key, 0, 1, install, frozenset({"cloister"}))


def node_part() -> Part:
    """Describe the compiler, the local chain and the Solidity libraries."""

    def install() -> None:
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        # npm passes over an optional package that it cannot get; to us none of these is optional.
        absent = [tool for tool in NODE_TOOLS if not (NODE / ".bin" / tool).exists()]
        if absent:
            raise SetupError(f"npm installed no {', '.join(absent)}: they exist for Linux on x86-64 alone")

    key = digest(ROOT / "package-lock.json", ROOT / ".npmrc")
    return Part("node", NODE, key, 136, 332, install, frozenset(NODE_TOOLS))


def ipfs_part() -> Part:
    """Describe the IPFS node of the tests: a package of its own, so that its lock holds nobody else back."""

    def install() -> None:
        # npm warns of packages that ask for Node 22; docs/adr says why the node runs on 20 all the same.
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run(["npm", "ci", *quiet, "--prefix", IPFS.parent])

    key = digest(IPFS.parent / "package-lock.json", IPFS.parent / ".npmrc")
    return Part("ipfs-node", IPFS, key, 27, 82, install, frozenset())


def parts_for(goal: str) -> list[Part]:
    """List every part of a goal, in the order in which they are installed."""
    if goal == "analysis":
        version = ensure_venv(ANALYSIS)
        slither = python_part("slither", ANALYSIS, version, ["analysis"], download_mb=30, disk_mb=120)
        return [node_part(), slither]
    version = ensure_venv(MAIN)
    parts = [
        python_part("base", MAIN, version, ["build", "runtime", "engine"], download_mb=115, disk_mb=540),
        torch_part(version),
        project_part(version),
        node_part(),
    ]
    if goal == "test":
        parts.append(ipfs_part())
        parts.append(python_part("dev", MAIN, version, ["dev"], download_mb=35, disk_mb=120))
        version, locks = ensure_venv(CONTRACTS), ["build", "contracts"]
        parts.append(python_part("contracts", CONTRACTS, version, locks, download_mb=85, disk_mb=410))
    return parts


def announce(due: Sequence[Part]) -> None:
    """Say what comes, where it goes and how big it is, and stop where the disk cannot hold it.

    Raises:
        SetupError: too little room.
    """
    say(f"to install under {ROOT} (sizes as from nothing; what is there already is kept):")
    rows = [(f"{part.name:<10} into {part.where.name}", part.download_mb, part.disk_mb) for part in due]
    rows.append(("together", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for what, download, disk in rows:
        say(f"  {what:<31} download {download:>5} MB, on disk {disk:>5} MB")
    free = shutil.disk_usage(ROOT).free // 10**6
    if free < disk:
        raise SetupError(f"{disk} MB are needed on this disk and {free} MB are free")


def set_up(goal: str) -> None:
    """Bring the checkout to `goal`."""
    if absent := missing_debian_packages():
        install_debian(absent)
        if still := missing_debian_packages():
            raise SetupError(
                f"installed {' '.join(absent)}, and still cannot find what {' '.join(still)} brings"
            )
    check_node()
    due = [part for part in parts_for(goal) if part.is_due()]
    if not due:
        return
    announce(due)
    for part in due:
        start = time.monotonic()
        part.install()
        part.done()
        say(f"{part.name} is in place ({time.monotonic() - start:.0f} s)")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the lock that keeps two set-ups of one checkout apart; it is let go whatever happens."""
    RUN.mkdir(exist_ok=True)
    with (RUN / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(args: Sequence[str]) -> int:
    """Run as `scripts/setup`; returns the exit status."""
    goals = [arg for arg in args if arg != "--again"] or ["demo"]
    if len(goals) > 1 or goals[0] not in ("demo", "test", "analysis"):
        say(f"usage: scripts/setup [demo|test|analysis] [--again], got: {' '.join(args)}")
        return 2
    # A simulated CVM that root's platform starts gives root up, and must be able to read what is installed.
    os.umask(0o022)
    try:
        with alone():
            if "--again" in args:
                for folder in (MAIN, CONTRACTS, ANALYSIS, NODE, IPFS):
                    shutil.rmtree(folder, ignore_errors=True)
            set_up(goals[0])
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("stopped; the next run goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
