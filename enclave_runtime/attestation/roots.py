"""Trust anchors as data (docs/protocol.md section 4.4): a root set is chosen by settings, never by evidence.

Certificates are not shipped: they come with the collateral and are compared to the digests pinned here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from enclave_runtime.wire.cvm import root_set_hash
from enclave_runtime.wire.errors import WireError

__all__ = ["DEV_PREFIX", "INTEL", "RootSet", "root_set_hash"]

INTEL = "intel"
DEV_PREFIX = "dev:"

# "Intel SGX Root CA", valid 2018-05-21 to 2049-12-31, the anchor of SGX and TDX alike. Published by Intel at
# https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer
# (659 bytes). First digest: SHA-256 of that file (DER); second: of its SubjectPublicKeyInfo.
_INTEL_DER = bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")
_INTEL_KEY = bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")

_DEV_ID = re.compile(r"dev:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RootSet:
    """One trust anchor: its id, and the digests that its certificate must have.

    Attributes:
        id: "intel" or "dev:<sha256 of the root's DER, hex>".
        der_sha256: SHA-256 of the root certificate.
        key_sha256: SHA-256 of its SubjectPublicKeyInfo, or None where the DER alone is pinned.
    """

    id: str
    der_sha256: bytes
    key_sha256: bytes | None = None

    @classmethod
    def intel(cls) -> RootSet:
        """Return Intel's production root, pinned."""
        return cls(INTEL, _INTEL_DER, _INTEL_KEY)

    @classmethod
    def dev(cls, root_der: bytes) -> RootSet:
        """Return the root set of a simulated vendor whose root certificate is `root_der`."""
        digest = hashlib.sha256(root_der).digest()
        return cls(DEV_PREFIX + digest.hex(), digest)

    @classmethod
    def parse(cls, root_set_id: str) -> RootSet:
        """Return the root set that a settings file names.

        Raises:
            WireError: no such root set.
        """
        if root_set_id == INTEL:
            return cls.intel()
        if _DEV_ID.fullmatch(root_set_id):
            return cls(root_set_id, bytes.fromhex(root_set_id.removeprefix(DEV_PREFIX)))
        raise WireError(f"root set: got {root_set_id[:80]!r}, expected 'intel' or 'dev:' and 64 hex digits")

    @property
    def simulated(self) -> bool:
        """Return whether no hardware vendor stands behind this root."""
        return self.id.startswith(DEV_PREFIX)

    @property
    def chain_id(self) -> bytes:
        """Return the 32 bytes that name this root set on chain."""
        return root_set_hash(self.id)
