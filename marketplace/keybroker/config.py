"""A key broker's settings file (TOML).

```
state_dir = "state"                  # broker.sqlite3, audit.log
policy = "policy.toml"               # see domain.release_policy and examples/policies
approve = "auto"                     # or "hand": a person approves each use that the policy allows
[keystore]
file = "keystore.json"               # content keys, encrypted; written by `cloister author`
passphrase_file = "keystore.pass"    # for its owner's eyes only
[grant_key]                          # signs grants; its address is in the offers' terms
file = "grant.key"                   # 64 hex digits, or an encrypted Ethereum keystore with
passphrase_file = "grant.pass"       # this
[chain]
rpcs = ["https://one", "https://two"]  # the owner's own nodes; a key leaves only when all agree
deployment = "deployment.json"
confirmed = "finalized"              # or "head", on development chains only
max_head_age_s = 600                 # from this machine's clock to each newest block; beyond: nothing
[collateral]                         # a source for each trust class of the policy
intel = "file:collateral.json"
```
[listen] and [limits]: see `service.sections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from marketplace.domain.release_policy import MAX_POLICY_BYTES, ReleasePolicy, parse_policy
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.appraisal import take_collateral
from marketplace.service.moments import take_head_age
from marketplace.service.sections import KeyFile, Limits, Listen
from marketplace.service.settings import load

if TYPE_CHECKING:
    from marketplace.collateral.base import CollateralSource

__all__ = ["MAX_RPCS", "BrokerConfig", "load_config", "load_policy"]

MAX_RPCS: Final = 8


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Everything that one broker needs, read and checked; secrets still in their files.

    Attributes:
        policy_bytes: the policy file as it was read; `activation` says whether it is in force.
        confirmed: block that an order must be RUNNING in, beside the head: "finalized" or "head".
        max_head_age_s: how far a node's newest block may be from this machine's clock, in seconds; unused on
            a development chain.
        collateral: a source for each trust class of the policy.
    """

    state_dir: Path
    policy: ReleasePolicy
    policy_bytes: bytes
    by_hand: bool
    listen: Listen
    limits: Limits
    keystore: KeyFile
    grant_key: KeyFile
    rpcs: tuple[str, ...]
    deployment: Path
    confirmed: str
    max_head_age_s: int
    collateral: dict[str, CollateralSource]

    @property
    def store_path(self) -> Path:
        """Where uses, grants and waiting requests are."""
        return self.state_dir / "broker.sqlite3"

    @property
    def audit_path(self) -> Path:
        """Where the audit log is."""
        return self.state_dir / "audit.log"


def load_config(path: Path) -> BrokerConfig:
    """Return the settings in the file at `path`, with the policy that they name.

    Raises:
        NotFoundError: no such file.
        BadInputError: names the member, what it is and what it must be.
    """
    table = load(path)
    policy_bytes = _read_policy(table.path("policy"))
    chain = table.table("chain")
    config = BrokerConfig(
        state_dir=table.path("state_dir"),
        policy=parse_policy(policy_bytes),
        policy_bytes=policy_bytes,
        by_hand=table.choice("approve", ("auto", "hand"), "auto") == "hand",
        listen=Listen.take(table),
        limits=Limits.take(table),
        keystore=KeyFile.take(table, "keystore"),
        grant_key=KeyFile.take(table, "grant_key"),
        rpcs=chain.texts("rpcs"),
        deployment=chain.path("deployment"),
        confirmed=chain.choice("confirmed", ("finalized", "head"), "finalized"),
        max_head_age_s=take_head_age(chain),
        collateral=take_collateral(table),
    )
    chain.done()
    table.done()
    if not 1 <= len(config.rpcs) <= MAX_RPCS:
        raise BadInputError(
            "chain: rpcs", f"{len(config.rpcs)} nodes", f"1 to {MAX_RPCS}, better two or more"
        )
    without = sorted(config.policy.trust_classes - set(config.collateral))
    if without:
        raise BadInputError("collateral", f"no source for {without[0]}", "one for each trust class")
    return config


def load_policy(path: Path) -> ReleasePolicy:
    """Return the policy in the file at `path`.

    Raises:
        NotFoundError: no such file.
        BadInputError: see `domain.release_policy.parse_policy`.
    """
    return parse_policy(_read_policy(path))


def _read_policy(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"policy file {path}: {error.strerror}") from error
