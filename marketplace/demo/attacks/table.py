"""The visible table: attack name -> what is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from marketplace.demo.attacks import engines, evidence, grants, host, owners, reports
from marketplace.demo.attacks.bench import Bench, Outcome

__all__ = ["ATTACKS"]

ATTACKS: Final[dict[str, Callable[[Bench], Outcome]]] = {
    "wrong-engine": owners.wrong_engine,
    "swapped-dataset": owners.swapped_dataset,
    "flipped-bit": host.flipped_bit,
    "truncated": host.truncated,
    "reordered": host.reordered,
    "changed-config": host.changed_config,
    "grant-other-order": grants.grant_other_order,
    "grant-other-cvm": grants.grant_other_cvm,
    "grant-other-result-key": grants.grant_other_result_key,
    "replayed-quote": evidence.replayed_quote,
    "unknown-measurement": evidence.unknown_measurement,
    "debug-cvm": evidence.debug_cvm,
    "stale-tcb": evidence.stale_tcb,
    "expired-certificate": evidence.expired_certificate,
    "report-other-order": reports.report_other_order,
    "second-report": reports.second_report,
    "forged-report": reports.forged_report,
    "provider-never-accepts": host.never_accepts,
    "provider-never-starts": host.never_starts,
    "grant-withheld": owners.grant_withheld,
    "silent-host": host.silent_host,
    "provider-dies-running": host.provider_dies,
    "host-lies": host.host_lies,
    "engine-phones-home": engines.phones_home,
    "engine-reads-outside": engines.reads_outside,
    "simulated-as-real": evidence.simulated_as_real,
}
