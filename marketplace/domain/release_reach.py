"""Which parts of a release policy can ever release anything (docs/protocol.md section 5.2).

Each list of a policy may accept something and still nothing pass all of them: a TEE that no listed root
certifies, a platform that the rules refuse whatever it shows, a placeholder of zeros that nobody replaced.
An owner should hear of that before the first order waits for a key in vain. What is said here is certain;
what it leaves out may still never happen: no digest says of which TEE it is, no floor what offers will ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import AMD, DEV_PREFIX
from enclave_runtime.attestation.rules import GpuRules
from marketplace.domain.anchors import kinds_of
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.domain.tcb import UNRATED_KINDS

__all__ = ["Reach", "reach_of"]

_MILAN: Final = "Milan"
_PRODUCTS: Final = {root_set: product for product, root_set in AMD.items()}
_NAMED: Final = ("measurements", "platforms", "engines", "configs", "clients", "listed_by")
"""Lists of digests and addresses, none of which is zeros: no hash comes to that, no key has that address."""
_ZEROS: Final = "zeros, which is a placeholder: nobody and nothing has that value"
_END_OF_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Reach:
    """What of a policy is in vain.

    Attributes:
        nothing: why no key is ever released, or None where one can be.
        dead: sentences about a member, or a TEE or root set in it, by which none is, though others pass.
    """

    nothing: str | None
    dead: tuple[str, ...] = ()


def reach_of(policy: ReleasePolicy) -> Reach:
    """Return what of `policy` is in vain, and why."""
    nothing = _nothing(policy)
    if nothing is not None:
        return Reach(nothing)
    tees, roots = sorted(policy.tees), sorted(policy.trust_classes)
    problems = {(tee, root): _problem(policy, tee, root) for tee in tees for root in roots}
    reasons = list(dict.fromkeys(reason for reason in problems.values() if reason))
    if all(problems.values()):
        return Reach(f"no listed TEE passes under a listed root ({'; '.join(reasons)})")
    dead = []
    for name, place, listed in (("tees", 0, tees), ("trust_classes", 1, roots)):
        for item in listed:
            why = [reason for pair, reason in problems.items() if pair[place] == item]
            if all(why):
                said = "; ".join(dict.fromkeys(reason for reason in why if reason))
                dead.append(f"{name} has {item}, under which nothing is ever released ({said})")
    return Reach(None, (*dead, *_idle(policy)))


def _nothing(policy: ReleasePolicy) -> str | None:
    """Return why no request is ever granted, whatever hardware it comes from."""
    empty = policy.empty()
    if empty is not None:
        return f"{empty} accepts nothing"
    for name in _NAMED:
        listed: frozenset[bytes] | None = getattr(policy, name)
        if listed is not None and not any(map(any, listed)):
            return f"{name} has but {_ZEROS}"
    if policy.hours_utc == (_END_OF_DAY, 0):
        return "hours_utc begins where the day ends, and ends where it begins"
    return None if policy.gpu is None else _gpu_nothing(policy.gpu)


def _gpu_nothing(rules: GpuRules) -> str | None:
    if rules.modes == {"ppcie"} and not rules.switches:
        return "gpu.modes has ppcie alone, which passes beside attested switches only, and gpu.switches is 0"
    wanted = rules.count + rules.switches
    if rules.devices is not None and len(rules.devices) < wanted:
        listed = len(rules.devices)
        return f"gpu.devices lists {listed}, and {wanted} different GPUs and switches must each be on it"
    return None


def _idle(policy: ReleasePolicy) -> list[str]:
    """Return what of `policy` accepts nothing beside what the rest of it does."""
    found = [
        f"{name} has {_ZEROS}"
        for name in _NAMED
        if any(not any(item) for item in getattr(policy, name) or ())
    ]
    unlisted = len(policy.secure_tsc - policy.measurements)
    if unlisted:
        found.append(f"secure_tsc has {unlisted} that measurements does not accept")
    elif policy.secure_tsc and TeeKind.SEV_SNP not in policy.tees:
        found.append("secure_tsc is about sev-snp alone, which tees does not accept")
    if policy.platforms is not None and TeeKind.SEV_SNP in policy.tees:
        rules = ("accept_masked_chip", policy.snp.accept_masked_chip), ("accept_vlek", policy.snp.accept_vlek)
        found += [
            f"snp.{name} takes what names no machine, and platforms lists some" for name, on in rules if on
        ]
    if policy.gpu is not None and "ppcie" in policy.gpu.modes and not policy.gpu.switches:
        found.append("gpu.modes has ppcie, which passes beside attested switches only: gpu.switches is 0")
    return found


def _problem(policy: ReleasePolicy, tee: TeeKind, root_set: str) -> str | None:
    """Return why no CVM of this kind under this root ever gets a key, or None where one may."""
    if tee in UNRATED_KINDS:
        return f"nobody rates {tee.value} platforms"
    if tee not in kinds_of(root_set):
        return f"{root_set} certifies no {tee.value}"
    simulated = root_set.startswith(DEV_PREFIX)
    if simulated and not policy.unsafe_accept_simulated:
        return f"{root_set} is SIMULATED, without unsafe_accept_simulated"
    gpus = () if policy.gpu is None else policy.gpu.root_sets
    if gpus and not simulated and all(item.startswith(DEV_PREFIX) for item in gpus):
        return f"SIMULATED GPUs count under no hardware root, as {root_set} is"
    if tee is TeeKind.TDX and policy.intel.mr_seams == frozenset():
        return "intel.mr_seams accepts no TDX module"
    problem = _snp_problem(policy, root_set) if tee is TeeKind.SEV_SNP else None
    return problem or _clock_problem(policy, tee, simulated=simulated)


def _clock_problem(policy: ReleasePolicy, tee: TeeKind, *, simulated: bool) -> str | None:
    kept = tee is TeeKind.TDX or (tee is TeeKind.SEV_SNP and policy.secure_tsc & policy.measurements)
    if policy.accept_host_clock or (kept and not simulated):
        return None
    what = "a SIMULATED" if simulated else f"{tee.value}: no measurement is in secure_tsc, so its"
    return f"{what} clock is the host's, without accept_host_clock"


def _snp_problem(policy: ReleasePolicy, root_set: str) -> str | None:
    product, rules = _PRODUCTS.get(root_set), policy.snp
    if product == _MILAN and not rules.accept_milan:
        return f"{root_set} without snp.accept_milan"
    unrated = any(
        not any(product in (None, floor.product) for floor in table.floors) for table in rules.floors
    )
    if unrated or not rules.floors:
        return f"{root_set}: snp.floors rate no {product or 'SEV-SNP platform'}, and unrated ones are refused"
    edition = min(table.edition for table in rules.floors)
    if edition < policy.min_tcb_eval_number:
        return f"{root_set}: snp.floors are of edition {edition}, below min_tcb_eval_number"
    return None
