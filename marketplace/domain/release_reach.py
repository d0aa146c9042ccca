"""Which parts of a release policy can ever release anything (docs/protocol.md section 5.2).

Each list of a policy may accept something and still nothing pass all of them: a TEE that no listed root
certifies, a platform that the rules refuse whatever it shows. An owner should hear of that before the first
order waits for a key in vain. What is said here is certain; what it leaves out may still never happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import AMD, DEV_PREFIX
from marketplace.domain.anchors import kinds_of
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.domain.tcb import UNRATED_KINDS

__all__ = ["Reach", "reach_of"]

_MILAN: Final = "Milan"
_PRODUCTS: Final = {root_set: product for product, root_set in AMD.items()}


@dataclass(frozen=True, slots=True)
class Reach:
    """What of a policy is in vain.

    Attributes:
        nothing: why no key is ever released, or None where one can be.
        dead: sentences about a TEE or a root set for which none is, though others pass.
    """

    nothing: str | None
    dead: tuple[str, ...] = ()


def reach_of(policy: ReleasePolicy) -> Reach:
    """Return what of `policy` is in vain, and why."""
    empty = policy.empty()
    if empty is not None:
        return Reach(f"{empty} accepts nothing")
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
    return Reach(None, tuple(dead))


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
