"""A release policy in sentences: who could get a key, and why (docs/protocol.md section 5.2).

What weakens comes first and is shouted: DANGER where the content can be read by somebody outside of any
hardware's protection, WEAK where one line of defence is given up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.domain.release_reach import reach_of
from marketplace.domain.tcb import TCB_WORDS

__all__ = ["explain", "weaknesses"]

_SHOWN: Final = 4
_WEEK_S: Final = 7 * 86_400

_SNP_REASONS: Final = {
    "accept_milan": "the keys of Milan chips can be read out by software, so any such evidence may be forged",
    "accept_vlek": "evidence then names a cloud, and no machine",
    "accept_masked_chip": "evidence then names no machine",
    "accept_cxl": "memory may lie outside of the socket",
    "require_alias_check": "nobody looked for aliased memory (BadRAM)",
    "require_closed_page_oracle": "the host can compare ciphertexts of pages (Heracles)",
    "unsafe_accept_without_crl": "a revoked key passes",
}
_HOST_CLOCK: Final = "the host may hold the clock that grants end by, and a grant lasts while it stands still"
_OPEN: Final = {
    "platforms": "hardware may be ANY of the vendor's: also a machine in its attacker's own room",
    "configs": "ANY configuration may be given to an accepted engine",
    "clients": "ANY client may order with the content",
    "other_inputs": "ANY other input may stand beside the content: a hostile one could exploit the engine",
    "listed_by": "ANYBODY may list the content, at a price of their own and payable to themselves",
}


def explain(policy: ReleasePolicy) -> list[str]:
    """Return the policy in sentences, the dangerous ones first."""
    return [*weaknesses(policy), *_who(policy), *_hardware(policy), *_terms(policy)]


def weaknesses(policy: ReleasePolicy) -> list[str]:
    """Return a sentence for each thing that makes this policy weaker than it could be, the worst first."""
    reach = reach_of(policy)
    found = [] if reach.nothing is None else [f"NOTHING is ever released: {reach.nothing}."]
    found += [f"IN VAIN: {words}." for words in reach.dead]
    if policy.unsafe_accept_simulated:
        found.append("DANGER: simulated TEEs are accepted; whoever runs one can read the content.")
    if policy.gpu is not None and policy.gpu.simulated is not None:
        found.append("DANGER: simulated GPUs are accepted; whoever runs one can read what is computed on it.")
    if policy.worst_tcb is not TcbStatus.UP_TO_DATE:
        word = _tcb_word(policy.worst_tcb)
        found.append(f"WEAK: platforms down to {word} are accepted: published holes may be open on them.")
    found += [f"WEAK: {reason}." for name, reason in _OPEN.items() if getattr(policy, name) is None]
    if policy.accept_host_clock:
        found.append(f"WEAK: {_HOST_CLOCK}.")
    if policy.orders_before:
        before = policy.orders_before
        found.append(f"WEAK: the CVM may have run {before} orders before: an engine that broke out stays.")
    if policy.ttl_s > _WEEK_S:
        days = policy.ttl_s // 86_400
        found.append(f"WEAK: a grant is good for {days} days: a denial or a new policy ends none sooner.")
    found += [f"WEAK: {words}." for words in _weak_snp(policy.snp)]
    return found + [f"WEAK: {words}." for words in _weak_gpu(policy.gpu)]


def _who(policy: ReleasePolicy) -> list[str]:
    return [
        f"Who may order: {_listed(policy.clients)} (the client configures the engine and gets the result).",
        f"Through whose offer: {_listed(policy.listed_by)} (its price and payees are the ones that count).",
        f"Which engine may read the content: {_listed(policy.engines)} (it sees the plaintext).",
        f"Under which configuration: {_listed(policy.configs)} (it tells the engine what to do).",
        f"Beside which other inputs: {_listed(policy.other_inputs)} (the engine reads them beside yours).",
    ]


def _hardware(policy: ReleasePolicy) -> list[str]:
    tees, roots = _words(item.value for item in policy.tees), _words(policy.trust_classes)
    before = policy.orders_before
    lines = [
        f"Where: in a CVM of {tees}, under the root {roots}, TCB {_tcb_word(policy.worst_tcb)} or better.",
        f"Which runtime: {_listed(policy.measurements)} (it holds the key, and keeps the host out).",
        f"On which hardware: {_listed(policy.platforms)} (whoever has a machine in hand can open it).",
        f"In a CVM that served at most {before} orders before (an engine that broke out would be there).",
    ]
    if not policy.accept_host_clock:
        known = f"; SEV-SNP with measurement {_listed(policy.secure_tsc)}" if policy.secure_tsc else ""
        lines.append(f"On which clock: one that is kept from the host (Intel TDX{known}).")
    if policy.min_tcb_eval_number:
        lines.append(f"The vendor's TCB data must be of edition {policy.min_tcb_eval_number} or later.")
    if policy.rejected_advisories:
        lines.append(f"No platform that {_words(policy.rejected_advisories)} applies to.")
    for vendor, rules, defaults in (("intel", policy.intel, IntelRules()), ("snp", policy.snp, SnpRules())):
        changed = [
            f"{field.name} = {_value(getattr(rules, field.name))}"
            for field in dataclasses.fields(rules)
            if getattr(rules, field.name) != getattr(defaults, field.name)
        ]
        if changed:
            lines.append(f"Other than by default, of {vendor}: {', '.join(changed)}.")
    return [*lines, _gpus(policy.gpu)]


def _gpus(rules: GpuRules | None) -> str:
    if rules is None:
        return "GPUs: none; a CVM with GPUs gets no key."
    switches = f" and {rules.switches} NVSwitches" if rules.switches else ""
    driver = f", driver {'.'.join(map(str, rules.min_driver))} or later" if rules.min_driver else ""
    return (
        f"GPUs: exactly {rules.count} of {_words(rules.architectures)}{switches} under the root"
        f" {_words(rules.root_sets)}, in mode {_words(rules.modes)}{driver};"
        f" devices: {_listed(rules.devices)}."
    )


def _terms(policy: ReleasePolicy) -> list[str]:
    lines = [
        f"For what: the order must owe at least {policy.min_price_due} token units once the content is used.",
        f"At most {policy.max_uses} orders get the key; a grant is good for {policy.ttl_s} seconds.",
    ]
    if policy.hours_utc is not None:
        lines.append(f"Only from {policy.hours_utc[0]}:00 to {policy.hours_utc[1]}:00 UTC.")
    return lines


def _weak_snp(rules: SnpRules) -> list[str]:
    strict, found = SnpRules(), []
    for field in dataclasses.fields(SnpRules):
        name, value = field.name, getattr(rules, field.name)
        weaker = value and not getattr(strict, name)
        if name.startswith("require_"):
            weaker = not value and getattr(strict, name)
        if weaker and name != "required_mitigations":
            reason = _SNP_REASONS.get(name, "less than the default asks for")
            found.append(f"snp.{name} = {str(value).lower()}: {reason}")
    if rules.floors != strict.floors:
        found.append("snp.floors replaces the patch levels that this release asks of AMD's platforms")
    return found


def _weak_gpu(rules: GpuRules | None) -> list[str]:
    if rules is None:
        return []
    found = []
    if "ppcie" in rules.modes:
        found.append("gpu.modes has ppcie: what passes between GPUs and switches is in the clear")
    if not rules.ocsp_required:
        found.append("gpu.ocsp_required = false: whoever brings the collateral leaves revocations out")
    if rules.rim_dates_at_signing:
        found.append("gpu.rim_dates_at_signing = true: drivers whose manifests have expired pass")
    return found


def _listed(values: frozenset[bytes] | None) -> str:
    if values is None:
        return "ANY"
    if not values:
        return "none"
    # Whole, since two digests can be made to look alike at their beginnings.
    shown = ["0x" + value.hex() for value in sorted(values)[:_SHOWN]]
    if len(values) == 1:
        return f"only {shown[0]}"
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f"one of {len(values)}: {', '.join(shown)}{more}"


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return f"{len(value)} listed"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(items: Iterable[str]) -> str:
    return " or ".join(sorted(items)) or "NOTHING"


def _tcb_word(level: TcbStatus) -> str:
    return next(word for word, known in TCB_WORDS.items() if known is level)
