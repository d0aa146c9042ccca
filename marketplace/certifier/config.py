"""A certifier's settings file (TOML), and what it accepts.

```
name = "certifier-1"
state_dir = "state"                       # audit.log
validity_s = 86400                        # of certificates, unless collateral expires earlier
evidence_s = 604800                       # how long evidence serves for renewals
[key]                                     # signs certificates; both files for their owner's eyes only
file = "certifier.key"                    # 64 hex digits, or an encrypted Ethereum keystore with
passphrase_file = "certifier.pass"        # this
[chain]
rpc = "http://127.0.0.1:8545"             # chain time is the time of its newest block
deployment = "deployment.json"
max_head_age_s = 600                      # from this machine's clock to the newest block; beyond: nothing
[accept]
root_sets = ["intel"]
measurements = ["0x..."]                  # reference values
worst_tcb = "UpToDate"                    # default
unsafe_accept_simulated = "dev:<sha256>"  # only for development: that one SIMULATED root
platforms = ["0x..."]                     # left out: any
rejected_advisories = []
min_tcb_eval_number = 0
[accept.snp]                              # and [accept.intel]: vendors' rules, as in release policies
require_smt_off = true
[accept.gpu]                              # left out: CVMs have no GPU
count = 2
root_sets = ["nvidia"]
[collateral]
intel = "file:collateral.json"
[x509]                                    # left out: made at the first start, in state_dir
key = "ca.key"                            # PKCS #8 in PEM, P-256; for its owner's eyes only
certificate = "ca.pem"
url = "https://certifier.example"         # where this certifier is served: goes into certificates
[attestation]
device = "none"                           # or "tsm": this certifier runs in a CVM, and shows it and its GPUs
```
[listen] and [limits]: see `service.sections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import WireError
from marketplace.domain.tcb import refuse_unrated_roots, tcb_level, words_within
from marketplace.domain.vendor_rules import read_gpu, read_intel, read_snp
from marketplace.errors import BadInputError
from marketplace.service.appraisal import take_collateral
from marketplace.service.moments import take_head_age
from marketplace.service.sections import KeyFile, Limits, Listen
from marketplace.service.settings import Table, load

if TYPE_CHECKING:
    from marketplace.collateral.base import CollateralSource

__all__ = ["DEVICES", "CertifierConfig", "X509Files", "load_config"]

DEVICES = ("none", "tsm")
"""What makes evidence of the machine that a certifier runs on: nothing, or the kernel's tsm reports."""

MAX_VALIDITY_S = 31 * 86_400
"""What CvmRegistry takes at most (its MAX_VALIDITY): a certificate beyond it would register nothing."""


@dataclass(frozen=True, slots=True)
class X509Files:
    """[x509]: key and certificate of the X.509 root, and where the service is reached.

    Attributes:
        made: whether to make both where there is neither.
    """

    key: Path
    certificate: Path
    url: str | None
    made: bool

    @classmethod
    def take(cls, table: Table, state_dir: Path) -> X509Files:
        """Take the section.

        Raises:
            BadInputError: one file without the other.
        """
        section = table.table("x509", optional=True)
        key, certificate = section.maybe_path("key"), section.maybe_path("certificate")
        url = section.maybe_text("url")
        section.done()
        if (key is None) is not (certificate is None):
            raise BadInputError("x509", "one of key and certificate", "both, or neither")
        if key is None or certificate is None:
            return cls(state_dir / "x509-root.key", state_dir / "x509-root.pem", url, made=True)
        return cls(key, certificate, url, made=False)


@dataclass(frozen=True, slots=True)
class CertifierConfig:
    """Everything that one certifier needs, read and checked; secrets still in their files.

    Attributes:
        max_head_age_s: how far the newest block may be from this machine's clock, in seconds; unused on a
            development chain.
        policy: what it accepts; `collateral` has a source for each of its root sets.
    """

    name: str
    state_dir: Path
    validity_s: int
    evidence_s: int
    listen: Listen
    limits: Limits
    key: KeyFile
    rpc: str
    deployment: Path
    max_head_age_s: int
    policy: AppraisalPolicy
    collateral: dict[str, CollateralSource]
    x509: X509Files
    device: str

    @property
    def store_path(self) -> Path:
        """Where certificates issued, evidence and revocations are."""
        return self.state_dir / "certifier.sqlite3"

    @property
    def audit_path(self) -> Path:
        """Where the audit log is."""
        return self.state_dir / "audit.log"


def load_config(path: Path) -> CertifierConfig:
    """Return the settings in the file at `path`.

    Raises:
        NotFoundError: no such file.
        BadInputError: names the member, what it is and what it must be.
    """
    table = load(path)
    chain = table.table("chain")
    state_dir = table.path("state_dir")
    attestation = table.table("attestation", optional=True)
    config = CertifierConfig(
        name=table.text("name"),
        state_dir=state_dir,
        validity_s=table.integer("validity_s", 86_400, least=120, most=MAX_VALIDITY_S),
        evidence_s=table.integer("evidence_s", 7 * 86_400, least=120, most=31 * 86_400),
        listen=Listen.take(table),
        limits=Limits.take(table),
        key=KeyFile.take(table, "key"),
        rpc=chain.text("rpc"),
        deployment=chain.path("deployment"),
        max_head_age_s=take_head_age(chain),
        policy=_policy(table.table("accept")),
        collateral=take_collateral(table),
        x509=X509Files.take(table, state_dir),
        device=attestation.choice("device", DEVICES, "none"),
    )
    attestation.done()
    chain.done()
    table.done()
    without = sorted(config.policy.root_sets - set(config.collateral))
    if without:
        raise BadInputError("collateral", f"no source for {without[0]}", "one for each accepted root set")
    return config


def _policy(accept: Table) -> AppraisalPolicy:
    root_sets = frozenset(accept.texts("root_sets"))
    loud = accept.maybe_text("unsafe_accept_simulated")
    platforms = _digests(accept, "platforms") if "platforms" in accept.names() else None
    try:
        simulated = None if loud is None else UnsafeAcceptSimulated(loud)
        needing = sorted(item for item in root_sets if RootSet.parse(item).simulated)
    except WireError as error:
        raise BadInputError("accept", str(error), "root set ids") from error
    if needing != ([] if loud is None else [loud]):
        raise BadInputError(
            "accept",
            f"SIMULATED root sets {needing} with unsafe_accept_simulated = {loud!r}",
            "at most one SIMULATED root set, and its id in both places",
            hint="a simulated TEE protects nothing from its operator; accept it for development only",
        )
    refuse_unrated_roots("accept: root_sets", root_sets)
    policy = AppraisalPolicy(
        root_sets=root_sets,
        measurements=_digests(accept, "measurements"),
        tcb_statuses=words_within(tcb_level(accept.text("worst_tcb", "UpToDate"))),
        min_tcb_eval_number=accept.integer("min_tcb_eval_number", 0),
        platforms=platforms,
        rejected_advisories=frozenset(accept.texts("rejected_advisories", [])),
        simulated=simulated,
        intel=accept.maybe("intel", read_intel) or IntelRules(),
        snp=accept.maybe("snp", read_snp) or SnpRules(),
        gpu=accept.maybe("gpu", read_gpu),
    )
    accept.done()
    return policy


def _digests(accept: Table, name: str) -> frozenset[bytes]:
    try:
        return frozenset(bytes_from_hex(text, 32) for text in accept.texts(name))
    except WireError as error:
        raise BadInputError(f"accept: {name}", str(error), "0x-hex of 32 bytes each") from error
