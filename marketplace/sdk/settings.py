"""The settings file of a person or a machine, `<home>/config.toml`: what it says, read strictly and written.

```
rpc = ["http://127.0.0.1:8545"]      # the first is used; more are for brokers and `doctor`
deployment = "deployment.json"       # where the market's contracts stand
key = "wallet.json"                  # encrypted Ethereum keystore (V3), or 64 hex digits; mode 0600
passphrase = "passphrase"            # of both keystores; left out: asked for when needed
store = "blobs"                      # folder of the local blob store
content_keys = "content-keys.json"   # keystore of content and result keys
[trust]                              # what this party believes; never taken from what it checks
root_set = "intel"                   # or "dev:<sha256>", which is SIMULATED and needs the next line
unsafe_accept_simulated = false      # true: believe a simulated TEE, which protects nothing
collateral = "file:collateral.json"  # the vendor's signed statements; or "vendor:FOLDER", "simulated:SOCKET"
measurements = ["0x..."]             # accepted runtimes
worst_tcb = "UpToDate"
min_tcb_eval_number = 0              # floor for the edition of the vendor's TCB data
rejected_advisories = []             # these refuse even an accepted level
platforms = ["0x..."]                # accepted machines, as `cloister attest show` names them; left out: any
tees = ["tdx"]                       # kinds of TEE that its orders accept
[trust.gpu]                          # left out: CVMs have no GPU; [trust.intel], [trust.snp]: vendors' rules
count = 2
root_sets = ["nvidia"]
[owner]                              # for who publishes content
release_url = "http://127.0.0.1:9001"  # of its key broker; left out: keys are granted by hand
grant_key = "grant.key"              # its address stands in offers; a delegate, never the wallet
algorithm = "blake3"                 # hash of sealed segments; "sha256" for the FIPS profile
[provider]                           # for who runs an agent
compute_offer = 1
platform_socket = "platform.sock"
socket_dir = "cvms"
journal = "agent.sqlite3"
certifiers = ["http://127.0.0.1:9101"]
max_lock = "500000000"               # token units that one order may lock, a decimal text
warm = 1
poll_s = 0.2
runtime_dir = "..."                  # left out: the installed package
requirements = ["..."]               # left out: the installed package's
```
Paths are relative to the file. Secrets are never in it, only paths to them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import WireError
from marketplace.domain.tcb import refuse_unrated_kinds, tcb_level
from marketplace.domain.vendor_rules import read_gpu, read_intel, read_snp
from marketplace.errors import BadInputError
from marketplace.service.settings import Table

__all__ = ["ConfigTable", "Owner", "Provider", "Trust", "config_text", "installed_runtime", "parse_algorithm"]

DEFAULT_POLL_S: Final = 0.2


class ConfigTable(Table):
    """A settings table that also has switches and decimal numbers."""

    @classmethod
    def of(cls, table: Table) -> ConfigTable:
        """Return `table` with the further methods."""
        return cls(table._values, table._where, table.base)

    def flag(self, name: str, default: bool) -> bool:
        """Take true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._bad(name, value, "true or false")
        return value

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """Take a number from `least` to `most`."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self._bad(name, value, f"a number from {least} to {most}")
        return float(value)

    def amount(self, name: str, default: int) -> int:
        """Take an amount of token units: a decimal text, or an integer."""
        value = self._take(name, default)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 39:
            return int(value)
        if type(value) is int and value >= 0:
            return value
        raise self._bad(name, value, 'token units, such as "500000000"')

    def part(self, name: str) -> ConfigTable:
        """Take a table; one that is missing is empty."""
        return ConfigTable.of(self.table(name, optional=True))


@dataclass(frozen=True, slots=True)
class Trust:
    """What a party believes.

    Attributes:
        root_set: id of its trust anchor; empty where it believes nothing yet.
        unsafe_accept_simulated: True accepts a SIMULATED root set, which protects nothing from its operator.
        collateral: "file:<path>", "vendor:<folder>" or "simulated:<socket>", absolute; empty for none.
        measurements: accepted runtimes, 32 bytes each.
        worst_tcb: the vendor's word for the worst accepted patch level.
        min_tcb_eval_number: floor for the edition of the vendor's TCB data.
        rejected_advisories: the vendor's advisories that refuse even an accepted patch level.
        platforms: accepted platform id hashes, or None for any of the vendor's machines.
        tees: kinds of TEE that its orders accept.
        intel, snp: what it accepts of these vendors' platforms beyond that.
        gpu: the GPUs that a CVM must have, or None: it must have none.
    """

    root_set: str = ""
    unsafe_accept_simulated: bool = False
    collateral: str = ""
    measurements: tuple[bytes, ...] = ()
    worst_tcb: str = "UpToDate"
    min_tcb_eval_number: int = 0
    rejected_advisories: tuple[str, ...] = ()
    platforms: tuple[bytes, ...] | None = None
    tees: tuple[TeeKind, ...] = (TeeKind.TDX,)
    intel: IntelRules = field(default_factory=IntelRules)
    snp: SnpRules = field(default_factory=SnpRules)
    gpu: GpuRules | None = None

    @classmethod
    def take(cls, table: ConfigTable) -> Trust:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.part("trust")
        trust = cls(
            root_set=section.maybe_text("root_set") or "",
            unsafe_accept_simulated=section.flag("unsafe_accept_simulated", False),
            collateral=_source(section, section.maybe_text("collateral")),
            measurements=_digests(section, "measurements"),
            worst_tcb=section.text("worst_tcb", "UpToDate"),
            min_tcb_eval_number=section.integer("min_tcb_eval_number", 0),
            rejected_advisories=section.texts("rejected_advisories", []),
            platforms=_digests(section, "platforms") if "platforms" in section.names() else None,
            tees=_tees(section.texts("tees", [TeeKind.TDX.value])),
            intel=section.maybe("intel", read_intel) or IntelRules(),
            snp=section.maybe("snp", read_snp) or SnpRules(),
            gpu=section.maybe("gpu", read_gpu),
        )
        tcb_level(trust.worst_tcb)
        section.done()
        return trust


@dataclass(frozen=True, slots=True)
class Owner:
    """Where an owner's keys come from, and how its content is sealed.

    Attributes:
        release_url: its broker's address.
        grant_key: the key that signs grants.
        algorithm: hash of the segments of what it seals; SHA-256 is the FIPS profile (section 3.2).
    """

    release_url: str | None = None
    grant_key: Path | None = None
    algorithm: Algorithm = Algorithm.BLAKE3

    @classmethod
    def take(cls, table: ConfigTable) -> Owner:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.part("owner")
        owner = cls(
            section.maybe_text("release_url"),
            section.maybe_path("grant_key"),
            parse_algorithm(section.text("algorithm", Algorithm.BLAKE3.value), "owner: algorithm"),
        )
        section.done()
        return owner


def parse_algorithm(text: str, what: str) -> Algorithm:
    """Return the hash that `text` names.

    Raises:
        BadInputError: none of ours.
    """
    try:
        return Algorithm(text)
    except ValueError:
        known = " or ".join(one.value for one in Algorithm)
        raise BadInputError(what, repr(text), known) from None


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider's agent needs to know.

    Attributes:
        compute_offer: whose orders it serves; 0 where none is listed yet.
        platform_socket: of the platform that launches CVMs.
        socket_dir: folder that holds the CVMs' sockets.
        runtime_dir, requirements: what the platform measures; None takes the installed package's own.
        certifiers: addresses of the services that vouch for its CVMs.
        max_lock: the most stake, in token units, that one order may lock.
        warm: how many certified CVMs wait ahead of orders.
        poll_s: seconds between looks when nothing moves.
    """

    compute_offer: int = 0
    platform_socket: Path | None = None
    socket_dir: Path | None = None
    runtime_dir: Path | None = None
    requirements: tuple[Path, ...] | None = None
    journal: Path | None = None
    certifiers: tuple[str, ...] = ()
    max_lock: int = 0
    warm: int = 1
    poll_s: float = DEFAULT_POLL_S

    @classmethod
    def take(cls, table: ConfigTable) -> Provider:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.part("provider")
        named = "requirements" in section.names()
        provider = cls(
            compute_offer=section.integer("compute_offer", 0),
            platform_socket=section.maybe_path("platform_socket"),
            socket_dir=section.maybe_path("socket_dir"),
            runtime_dir=section.maybe_path("runtime_dir"),
            requirements=tuple(section.base / name for name in section.texts("requirements"))
            if named
            else None,
            journal=section.maybe_path("journal"),
            certifiers=section.texts("certifiers", []),
            max_lock=section.amount("max_lock", 0),
            warm=section.integer("warm", 1, most=16),
            poll_s=section.number("poll_s", DEFAULT_POLL_S, least=0.01, most=60),
        )
        section.done()
        return provider

    def runtime(self) -> tuple[Path, tuple[Path, ...]]:
        """Return the runtime's folder and its locked requirements."""
        folder, requirements = installed_runtime()
        return self.runtime_dir or folder, requirements if self.requirements is None else self.requirements


def installed_runtime() -> tuple[Path, tuple[Path, ...]]:
    """Return the folder of the installed `enclave_runtime`, and its locked requirements if they are there."""
    import enclave_runtime

    folder = Path(str(enclave_runtime.__file__)).resolve().parents[1]
    locked = folder / "requirements" / "runtime.txt"
    return folder, (locked,) if locked.is_file() else ()


def config_text(sections: dict[str, dict[str, object]]) -> str:
    """Return TOML for `sections`, the nameless one first: texts, numbers, switches, lists, tables."""
    lines: list[str] = []
    for name, members in sections.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {_toml(value)}" for key, value in members.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string but for one sign, which no path or URL of ours has.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bytes):
        return _toml("0x" + value.hex())
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise TypeError(f"settings: {type(value).__name__}")


def _digests(section: Table, name: str) -> tuple[bytes, ...]:
    try:
        return tuple(bytes_from_hex(item.lower(), 32) for item in section.texts(name, []))
    except WireError as error:
        raise BadInputError(f"trust: {name}", str(error), "0x-hex of 32 bytes each") from error


def _tees(names: tuple[str, ...]) -> tuple[TeeKind, ...]:
    try:
        kinds = tuple(TeeKind(name) for name in names)
    except ValueError as error:
        raise BadInputError("trust: tees", str(error), [kind.value for kind in TeeKind]) from error
    refuse_unrated_kinds("trust: tees", kinds)  # no order can run there; evidence is read without this list
    return kinds


def _source(section: Table, text: str | None) -> str:
    """Return a collateral source with an absolute path; a plain path is a file."""
    if not text:
        return ""
    scheme, colon, path = text.partition(":")
    if not colon:
        scheme, path = "file", text
    return f"{scheme}:{(section.base / path).absolute()}"
