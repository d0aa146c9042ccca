"""Writes the settings files of the demo's services, in the format that every operator uses."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.model import TeeKind
from marketplace.sdk.settings import config_text

__all__ = [
    "Accept",
    "broker_settings",
    "certifier_settings",
    "policy_text",
    "put_in_force",
    "write_secret",
]


@dataclass(frozen=True, slots=True)
class Accept:
    """What the demo's relying parties accept.

    Attributes:
        root_set: id of the one SIMULATED root set of CPUs.
        measurements: of the runtime, 0x-hex.
        tee: kind of TEE.
        gpus: how many GPUs a CVM must have.
        gpu_root_set: id of the GPUs' SIMULATED roots, or None without.
    """

    root_set: str
    measurements: tuple[str, ...]
    tee: TeeKind = TeeKind.TDX
    gpus: int = 0
    gpu_root_set: str | None = None

    def gpu_rules(self) -> dict[str, object] | None:
        """Return the members of a [gpu] table, or None where CVMs have no GPU."""
        if self.gpu_root_set is None:
            return None
        return {"count": self.gpus, "root_sets": [self.gpu_root_set], "unsafe_accept_simulated": True}

    def words(self) -> str:
        """Return what plays the hardware, for people."""
        gpus = f" with {self.gpus} SIMULATED GPUs" if self.gpus else ""
        return f"SIMULATED {self.tee.value}{gpus}"


def write_secret(path: Path, text: str) -> Path:
    """Write `text` for this user's eyes only, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path


def certifier_settings(name: str, accept: Accept, *, rpc: str, deployment: Path, collateral: str) -> str:
    """Return a certifier's settings; its key lies beside them in `key`."""
    return f"""name = {_text(name)}
state_dir = "state"
validity_s = 7200
[key]
file = "key"
[listen]
port = 0
[limits]
requests_per_minute = 0
[chain]
rpc = {_text(rpc)}
deployment = {_text(str(deployment))}
[accept]
root_sets = [{_text(accept.root_set)}]
unsafe_accept_simulated = {_text(accept.root_set)}
measurements = {json.dumps(list(accept.measurements))}
{_gpu_table("accept.gpu", accept)}[collateral]
{_text(accept.root_set)} = {_text(collateral)}
"""


def broker_settings(accept: Accept, *, rpc: str, deployment: Path, collateral: str, approve: str) -> str:
    """Return a key broker's settings; keystore, grant key and policy lie beside them."""
    return f"""state_dir = "state"
policy = "policy.toml"
approve = {_text(approve)}
[keystore]
file = "content-keys.json"
passphrase_file = "passphrase"
[grant_key]
file = "grant-key"
[listen]
port = 0
[limits]
requests_per_minute = 0
[chain]
rpcs = [{_text(rpc)}]
deployment = {_text(str(deployment))}
confirmed = "head"
[collateral]
{_text(accept.root_set)} = {_text(collateral)}
"""


def policy_text(
    accept: Accept, *, engines: tuple[str, ...], clients: tuple[str, ...], listed_by: str, min_price_due: int
) -> str:
    """Return a release policy for the simulated platform."""
    return f"""version = 1
trust_classes = [{_text(accept.root_set)}]
unsafe_accept_simulated = true
accept_host_clock = true
tees = [{_text(accept.tee.value)}]
worst_tcb = "UpToDate"
measurements = {json.dumps(list(accept.measurements))}
platforms = "any"
engines = {json.dumps(list(engines))}
configs = "any"
clients = {json.dumps(list(clients))}
other_inputs = "any"
listed_by = [{_text(listed_by)}]
orders_before = 0
min_price_due = "{min_price_due}"
max_uses = 1000
ttl_s = 3600
hours_utc = "any"
{_gpu_table("gpu", accept)}"""


def put_in_force(config: Path) -> None:
    """Activate the policy of the broker with these settings, as `cloister keybroker activate --yes` does."""
    from marketplace.keybroker.activation import activate, policy_digest
    from marketplace.keybroker.config import load_config

    settings = load_config(config)
    activate(settings, seen=policy_digest(settings), at=int(time.time()))


def _gpu_table(name: str, accept: Accept) -> str:
    rules = accept.gpu_rules()
    return "" if rules is None else config_text({name: rules})


def _text(value: str) -> str:
    return json.dumps(value)
