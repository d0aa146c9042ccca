"""What an owner demands before a content key leaves (protocol section 5.2), as a TOML file.

A list that is empty accepts nothing, so an empty policy refuses. Where everything may pass, the file
must say "any" in so many letters. `release_words` says in sentences what a policy comes to.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.cvm import TcbStatus
from enclave_runtime.wire.errors import WireError
from marketplace.domain.tcb import refuse_unrated_kinds, refuse_unrated_roots, tcb_level, words_within
from marketplace.domain.vendor_rules import read_gpu, read_intel, read_snp, read_truth, read_whole
from marketplace.errors import BadInputError

__all__ = ["MAX_POLICY_BYTES", "POLICY_VERSION", "ReleasePolicy", "parse_policy"]

MAX_POLICY_BYTES: Final = 256 << 10
POLICY_VERSION: Final = 1
_MAX_ENTRIES: Final = 4096
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """Conditions that must all hold. `None` stands for "any"; an empty set accepts nothing.

    Attributes:
        trust_classes: ids of accepted root sets, such as "intel".
        unsafe_accept_simulated: the loud consent without which no "dev:" class is accepted.
        tees: accepted kinds of TEE.
        worst_tcb: the worst accepted TCB level.
        measurements: accepted measurements of the runtime, 32 bytes each.
        platforms: accepted platform id hashes.
        engines: content digests of engines whose source the owner has checked.
        configs: accepted config digests.
        clients: addresses of clients that may use the content.
        other_inputs: manifest digests of inputs that may stand beside this one (the engine apart).
        listed_by: accounts whose listing of the content counts. Anybody can list a manifest again, at a price
            of their own and payable to themselves.
        orders_before: how many orders a CVM may have admitted before.
        min_price_due: the least that the order owes this input once it is used, in token units.
        max_uses: how many orders may get the key.
        hours_utc: first hour and hour after the last, in UTC; may run over midnight.
        ttl_s: how long a grant is good for, in seconds from the request.
        min_tcb_eval_number: floor for the edition of the vendor's TCB data.
        rejected_advisories: the vendor's advisories that refuse even an accepted TCB level.
        accept_host_clock: whether the host may be able to stretch the clock that a grant's time runs on.
        secure_tsc: measurements of SEV-SNP guests that start with Secure TSC only, which keeps that clock
            from the host; no report says so itself.
        intel, snp: what is accepted of these vendors' platforms beyond that.
        gpu: the GPUs that the CVM must have, or None: it must have none.
    """

    trust_classes: frozenset[str]
    tees: frozenset[TeeKind]
    worst_tcb: TcbStatus
    measurements: frozenset[bytes]
    engines: frozenset[bytes]
    clients: frozenset[bytes] | None
    other_inputs: frozenset[bytes] | None
    listed_by: frozenset[bytes] | None
    max_uses: int
    unsafe_accept_simulated: bool = False
    platforms: frozenset[bytes] | None = None
    configs: frozenset[bytes] | None = None
    orders_before: int = 0
    min_price_due: int = 0
    hours_utc: tuple[int, int] | None = None
    ttl_s: int = _DAY_S
    min_tcb_eval_number: int = 0
    rejected_advisories: frozenset[str] = frozenset()
    accept_host_clock: bool = False
    secure_tsc: frozenset[bytes] = frozenset()
    intel: IntelRules = field(default_factory=IntelRules)
    snp: SnpRules = field(default_factory=SnpRules)
    gpu: GpuRules | None = None

    def empty(self) -> str | None:
        """Return the name of a condition that accepts nothing, or None if each accepts something."""
        # An order without other inputs fits an empty list of them.
        for name in ("trust_classes", "tees", "measurements", "engines", "clients", "listed_by"):
            value = getattr(self, name)
            if value is not None and not value:
                return name
        for name in ("platforms", "configs"):
            if getattr(self, name) == frozenset():
                return name
        if self.gpu is not None and not self.gpu.root_sets:
            return "gpu"
        for name in ("architectures", "modes", "devices"):
            if getattr(self.gpu, name, None) == frozenset():
                return f"gpu.{name}"
        return None if self.max_uses > 0 else "max_uses"

    def appraisal(self, root_set: str) -> AppraisalPolicy:
        """Return the part of this policy that judges evidence under the trust anchor `root_set`."""
        loud = self.unsafe_accept_simulated and RootSet.parse(root_set).simulated
        return AppraisalPolicy(
            root_sets=self.trust_classes,
            measurements=self.measurements,
            tcb_statuses=words_within(self.worst_tcb),
            min_tcb_eval_number=self.min_tcb_eval_number,
            platforms=self.platforms,
            rejected_advisories=self.rejected_advisories,
            simulated=UnsafeAcceptSimulated(root_set) if loud else None,
            intel=self.intel,
            snp=self.snp,
            gpu=self.gpu,
        )


def parse_policy(data: bytes) -> ReleasePolicy:
    """Return the policy in a TOML file.

    Raises:
        BadInputError: oversize, not TOML, unknown or missing keys, or a value of the wrong form.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise BadInputError("policy", f"{len(data)} bytes", f"at most {MAX_POLICY_BYTES}")
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadInputError("policy", f"text that is not TOML ({error})", "a TOML table") from error
    version = table.pop("version", None)
    if version is None:
        raise BadInputError("policy version", "none", POLICY_VERSION, hint=f"add: version = {POLICY_VERSION}")
    if version != POLICY_VERSION or isinstance(version, bool):
        raise BadInputError(
            "policy version", repr(version)[:40], POLICY_VERSION, hint="it is written for another release"
        )
    unknown = sorted(set(table) - set(_READERS))
    missing = sorted(_REQUIRED - set(table))
    if unknown or missing:
        raise BadInputError(
            "policy keys", f"unknown {unknown}, missing {missing}", f"only {sorted(_READERS)}"
        )
    policy = ReleasePolicy(**{name: _READERS[name](name, value) for name, value in table.items()})
    simulated = sorted(item for item in policy.trust_classes if RootSet.parse(item).simulated)
    if simulated and not policy.unsafe_accept_simulated:
        raise BadInputError(
            "trust_classes",
            f"the SIMULATED class {simulated[0]}",
            "unsafe_accept_simulated = true beside it",
            hint="a simulated TEE protects nothing from its operator; set it for development only",
        )
    return policy


def _strings(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadInputError(name, "something else", "a list of strings")
    if len(value) > _MAX_ENTRIES:
        raise BadInputError(name, f"{len(value)} entries", f"at most {_MAX_ENTRIES}")
    return value


def _hex_set(size: int) -> Callable[[str, object], frozenset[bytes]]:
    def read(name: str, value: object) -> frozenset[bytes]:
        try:
            return frozenset(bytes_from_hex(item.lower(), size) for item in _strings(name, value))
        except WireError as error:
            raise BadInputError(name, str(error), f"0x-hex of {size} bytes") from error

    return read


def _or_any(read: Callable[[str, object], Any]) -> Callable[[str, object], Any]:
    return lambda name, value: None if value == "any" else read(name, value)


def _classes(name: str, value: object) -> frozenset[str]:
    try:
        found = frozenset(RootSet.parse(item).id for item in _strings(name, value))
    except WireError as error:
        raise BadInputError(name, str(error), "root set ids") from error
    refuse_unrated_roots(name, found)
    return found


def _tees(name: str, value: object) -> frozenset[TeeKind]:
    try:
        found = frozenset(TeeKind(item) for item in _strings(name, value))
    except BadInputError:
        raise
    except ValueError as error:
        raise BadInputError(name, str(error), [kind.value for kind in TeeKind]) from error
    refuse_unrated_kinds(name, found)
    return found


def _tcb(name: str, value: object) -> TcbStatus:
    level = tcb_level(value if isinstance(value, str) else repr(value))
    if level is TcbStatus.REVOKED:
        raise BadInputError(name, "Revoked", "a level that a platform may have")
    return level


def _hours(name: str, value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        first, end = (read_whole(0, 24)(name, item) for item in value)
        if first != end:
            return first, end
    raise BadInputError(name, repr(value)[:60], "two different hours of UTC, such as [8, 18]")


_READERS: Final[dict[str, Callable[[str, object], Any]]] = {
    "trust_classes": _classes,
    "unsafe_accept_simulated": read_truth,
    "tees": _tees,
    "worst_tcb": _tcb,
    "measurements": _hex_set(32),
    "platforms": _or_any(_hex_set(32)),
    "engines": _hex_set(32),
    "configs": _or_any(_hex_set(32)),
    "clients": _or_any(_hex_set(20)),
    "other_inputs": _or_any(_hex_set(32)),
    "listed_by": _or_any(_hex_set(20)),
    "orders_before": read_whole(0, 1 << 31),
    "min_price_due": read_whole(0, (1 << 128) - 1),
    "max_uses": read_whole(0, 1 << 31),
    "hours_utc": _or_any(_hours),
    "ttl_s": read_whole(1, (1 << 32) - 1),
    "min_tcb_eval_number": read_whole(0, 1 << 31),
    "rejected_advisories": lambda name, value: frozenset(_strings(name, value)),
    "accept_host_clock": read_truth,
    "secure_tsc": _hex_set(32),
    "intel": read_intel,
    "snp": read_snp,
    "gpu": read_gpu,
}
_REQUIRED: Final = frozenset(
    {"trust_classes", "tees", "worst_tcb", "measurements", "engines", "clients", "other_inputs"}
    | {"listed_by", "max_uses"}
)
