"""A policy is in force only once its owner has seen what it says, in words (docs/protocol.md section 5.2).

What is activated is a digest: over the policy file's exact bytes and over those settings that decide as much
as it does. The service refuses to start under any other, and a running one stops granting as soon as another
one is activated. So nobody who swaps a file changes who gets a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.canonical import Json, JsonObject, dump
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import tagged
from marketplace.domain.release_words import explain, weaknesses
from marketplace.errors import BadInputError
from marketplace.keybroker.config import BrokerConfig
from marketplace.keybroker.store import Store
from marketplace.service.audit import AuditLog

__all__ = ["Shown", "activate", "deactivate", "policy_digest", "require_active", "sentences", "shown"]

_LONG_HEAD_AGE_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy as its owner sees it before it is in force.

    Attributes:
        digest: what is activated, 32 bytes.
        sentences: who could get a key, and why; what weakens comes first.
        active: whether it is the one in force.
    """

    digest: bytes
    sentences: tuple[str, ...]
    active: bool


def policy_digest(config: BrokerConfig) -> bytes:
    """Return the digest of the policy and of the settings that decide beside it, 32 bytes."""
    nodes: list[Json] = [*config.rpcs]
    beside: JsonObject = {
        "by_hand": config.by_hand,
        "confirmed": config.confirmed,
        "max_head_age_s": config.max_head_age_s,
        "rpcs": nodes,
    }
    # Which contracts: whoever swaps them makes up orders that run.
    deployment = config.deployment.read_bytes() if config.deployment.is_file() else b""
    return tagged("release-policy/v1", config.policy_bytes, dump(beside), deployment)


def sentences(config: BrokerConfig) -> list[str]:
    """Return in words who could get a key under these settings, and why."""
    lines, count = [], len(config.rpcs)
    if count == 1:
        lines.append("WEAK: one node alone says which orders run: whoever runs it can make one up.")
    if config.confirmed == "head":
        lines.append("WEAK: the newest block is believed before it is final; for development chains only.")
    if config.max_head_age_s > _LONG_HEAD_AGE_S:
        hours = config.max_head_age_s // 3600
        lines.append(f"WEAK: nodes may stand still for {hours} hours: what ended meanwhile runs for them.")
    shouted = len(weaknesses(config.policy))
    words = explain(config.policy)
    lines = [*words[:shouted], *lines, *words[shouted:]]
    nodes = "the node" if count == 1 else f"each of {count} nodes"
    lines.append(
        f"For {nodes} the order must be RUNNING with this CVM, in a finalized block and at the head."
    )
    if config.confirmed != "head":
        lines.append(
            f"Its newest block may be {config.max_head_age_s} seconds from this machine's clock, no more."
        )
    lines.append("Evidence is judged at the later one of both times: no node makes it good again.")
    if config.by_hand:
        lines.append("Then a person must still approve each use by hand.")
    else:
        lines.append("No person looks at a use before the key leaves.")
    return lines


def activate(config: BrokerConfig, *, seen: bytes, at: int) -> None:
    """Put the policy in force whose words somebody has just seen, and write both into the audit log.

    Args:
        seen: digest of what was shown.
        at: Unix time, in seconds.
    Raises:
        BadInputError: the files say something else than what was shown.
    """
    digest = policy_digest(config)
    if seen != digest:
        raise BadInputError("policy", f"digest {hex_of(digest)}", f"the one that was shown, {hex_of(seen)}")
    store = Store(config.store_path)
    try:
        words: list[Json] = [line[:1000] for line in sentences(config)]
        facts: JsonObject = {"policy": hex_of(digest), "sentences": words}
        # The log first: a policy that is in force without an entry is worse than the other way round.
        AuditLog(config.audit_path).append("policy activated", facts, at=at)
        store.activate(digest, at=at)
    finally:
        store.close()


def deactivate(config: BrokerConfig, *, at: int) -> None:
    """Put no policy in force: nothing is granted until one is activated again. A running service obeys."""
    store = Store(config.store_path)
    try:
        store.deactivate()
        AuditLog(config.audit_path).append("policy deactivated", {}, at=at)
    finally:
        store.close()


def shown(config: BrokerConfig) -> Shown:
    """Return the policy in words, and whether it is in force; makes no file."""
    digest, active = policy_digest(config), None
    if config.store_path.exists():
        store = Store(config.store_path)
        try:
            active = store.active_policy()
        finally:
            store.close()
    return Shown(digest, tuple(sentences(config)), active == digest)


def require_active(store: Store, digest: bytes) -> None:
    """Refuse to serve under a policy that is not in force.

    Raises:
        BadInputError: none is, or another one.
    """
    active = store.active_policy()
    if active != digest:
        got = "one that was never activated" if active is None else f"one other than {hex_of(active)}"
        raise BadInputError(
            "policy",
            f"{got} ({hex_of(digest)})",
            "the policy that its owner activated",
            hint="read it and put it in force: `cloister keybroker activate --config FILE`",
        )
