"""Trust anchors as data (docs/protocol.md section 4.4): a root set is chosen by settings, never by evidence.

Certificates are not shipped: they come with the collateral and are compared to the digests pinned here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from enclave_runtime.wire.cvm import root_set_hash
from enclave_runtime.wire.errors import WireError

__all__ = [
    "AMD",
    "CCA_PREFIX",
    "DEV_PREFIX",
    "INTEL",
    "NITRO",
    "NVIDIA",
    "Fingerprint",
    "GpuRoots",
    "RootSet",
    "root_set_hash",
]

INTEL: Final = "intel"
AMD: Final = {"Milan": "amd-milan", "Genoa": "amd-genoa", "Turin": "amd-turin"}
"""Product line -> root set: AMD has one root for each."""
NITRO: Final = "aws-nitro"
NVIDIA: Final = "nvidia"
CCA_PREFIX: Final = "cca:"
DEV_PREFIX: Final = "dev:"

_DEV_ID = re.compile(r"dev:[0-9a-f]{64}")
_CCA_ID = re.compile(r"cca:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a root certificate must be.

    Attributes:
        der_sha256: SHA-256 of the certificate.
        key_sha256: SHA-256 of its SubjectPublicKeyInfo, or None where the DER alone is pinned.
    """

    der_sha256: bytes
    key_sha256: bytes | None = None


def _pin(der: str, key: str) -> Fingerprint:
    return Fingerprint(bytes.fromhex(der), bytes.fromhex(key))


# First digest: SHA-256 of the certificate (DER); second: of its SubjectPublicKeyInfo. Each was computed from
# real evidence whose chain ends in it; where two repositories are named below, both hold the same bytes.
_PINS: Final[dict[str, Fingerprint]] = {
    # "Intel SGX Root CA", valid 2018-05-21 to 2049-12-31, 659 bytes, the anchor of SGX and TDX alike:
    # https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer
    INTEL: _pin(
        "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
        "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e",
    ),
    # "ARK-Milan", valid 2020-10-22 to 2045-10-22, 1639 bytes: https://kdsintf.amd.com/vcek/v1/Milan/cert_chain;
    # google/go-sev-guest verify/trust/ask_ark_milan.pem and trustee milan_ask_ark_asvk.pem.
    AMD["Milan"]: _pin(
        "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
        "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    ),
    # "ARK-Genoa", valid 2022-01-26 to 2047-01-26, 1639 bytes: https://kdsintf.amd.com/vcek/v1/Genoa/cert_chain;
    # google/go-sev-guest verify/trust/ask_ark_genoa.pem and trustee genoa_ask_ark_asvk.pem.
    AMD["Genoa"]: _pin(
        "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
        "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    ),
    # "ARK-Turin", valid 2023-05-15 to 2048-05-15, 1639 bytes: https://kdsintf.amd.com/vcek/v1/Turin/cert_chain;
    # google/go-sev-guest verify/trust/ask_ark_turin_vcek.pem and trustee turin_ask_ark_asvk.pem.
    AMD["Turin"]: _pin(
        "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
        "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
    ),
    # "aws.nitro-enclaves", valid 2019-10-28 to 2049-10-28, 533 bytes:
    # https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip; first in every cabundle.
    NITRO: _pin(
        "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
        "f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225",
    ),
}

# "NVIDIA Device Identity CA", valid 2021-11-05 to 9999-12-31, 527 bytes: last in the chain of every GPU;
# NVIDIA/nvtrust verifier_device_root.pem, go-nvattest-tools device_root.pem, trustee nvidia_device_root.pem.
_NVIDIA_DEVICE = _pin(
    "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
    "a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4",
)
# "NVIDIA CoRIM signing Root CA", valid 2023-03-16 to 2053-03-08, 557 bytes: signs reference measurements;
# NVIDIA/nvtrust verifier_RIM_root.pem, go-nvattest-tools rim_root.pem.
_NVIDIA_RIM = _pin(
    "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
    "dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3",
)


@dataclass(frozen=True, slots=True)
class RootSet:
    """One trust anchor of a CPU's evidence: its id, and the digests that its certificate must have.

    Attributes:
        id: "intel", "amd-milan", "amd-genoa", "amd-turin", "aws-nitro", "cca:<sha256 of the platform key's
            SubjectPublicKeyInfo, hex>" or "dev:<sha256 of the root's DER, hex>".
        der_sha256: SHA-256 of the root certificate; of the key under "cca:", where there is no certificate.
        key_sha256: SHA-256 of its SubjectPublicKeyInfo, or None where the DER alone is pinned.
    """

    id: str
    der_sha256: bytes
    key_sha256: bytes | None = None

    @classmethod
    def intel(cls) -> RootSet:
        """Return Intel's production root, pinned."""
        return cls.parse(INTEL)

    @classmethod
    def amd(cls, product: str) -> RootSet:
        """Return AMD's production root for a product line: "Milan", "Genoa" or "Turin".

        Raises:
            WireError: no such product line.
        """
        return cls.parse(AMD.get(product, product))

    @classmethod
    def nitro(cls) -> RootSet:
        """Return the root of AWS Nitro enclaves, pinned."""
        return cls.parse(NITRO)

    @classmethod
    def cca(cls, spki: bytes) -> RootSet:
        """Return the root set of one Arm CCA platform whose key is `spki` (DER SubjectPublicKeyInfo)."""
        digest = hashlib.sha256(spki).digest()
        return cls(CCA_PREFIX + digest.hex(), digest, digest)

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
        pin = _PINS.get(root_set_id)
        if pin is not None:
            return cls(root_set_id, pin.der_sha256, pin.key_sha256)
        if _DEV_ID.fullmatch(root_set_id):
            return cls(root_set_id, bytes.fromhex(root_set_id.removeprefix(DEV_PREFIX)))
        if _CCA_ID.fullmatch(root_set_id):
            digest = bytes.fromhex(root_set_id.removeprefix(CCA_PREFIX))
            return cls(root_set_id, digest, digest)
        known = ", ".join(repr(name) for name in _PINS)
        raise WireError(
            f"root set: got {root_set_id[:80]!r}, expected {known}, or 'cca:' or 'dev:' and 64 hex digits"
        )

    @property
    def simulated(self) -> bool:
        """Return whether no hardware vendor stands behind this root."""
        return self.id.startswith(DEV_PREFIX)

    @property
    def chain_id(self) -> bytes:
        """Return the 32 bytes that name this root set on chain."""
        return root_set_hash(self.id)


@dataclass(frozen=True, slots=True)
class GpuRoots:
    """The two anchors of GPU evidence: one signs devices, the other signs what they should measure.

    Attributes:
        id: "nvidia", or "dev:<sha256 of both roots' digests, hex>".
        bundle: SHA-256 over the SHA-256 of the device root's DER and that of the RIM root's: the pin of both.
        device: of the root that device certificates chain to, where it is known on its own.
        rim: of the root that reference measurements chain to, likewise.
    """

    id: str
    bundle: bytes
    device: Fingerprint | None = field(default=None, compare=False)
    rim: Fingerprint | None = field(default=None, compare=False)

    @classmethod
    def nvidia(cls) -> GpuRoots:
        """Return NVIDIA's production roots, pinned."""
        return cls(NVIDIA, _both(_NVIDIA_DEVICE, _NVIDIA_RIM), _NVIDIA_DEVICE, _NVIDIA_RIM)

    @classmethod
    def dev(cls, device_root_der: bytes, rim_root_der: bytes) -> GpuRoots:
        """Return the roots of a simulated vendor of GPUs."""
        device, rim = (Fingerprint(hashlib.sha256(der).digest()) for der in (device_root_der, rim_root_der))
        digest = _both(device, rim)
        return cls(DEV_PREFIX + digest.hex(), digest, device, rim)

    @classmethod
    def parse(cls, root_set_id: str) -> GpuRoots:
        """Return the roots that a settings file names.

        Raises:
            WireError: no such roots.
        """
        if root_set_id == NVIDIA:
            return cls.nvidia()
        if _DEV_ID.fullmatch(root_set_id):
            return cls(root_set_id, bytes.fromhex(root_set_id.removeprefix(DEV_PREFIX)))
        raise WireError(
            f"GPU root set: got {root_set_id[:80]!r}, expected 'nvidia' or 'dev:' and 64 hex digits"
        )

    def accepts(self, device_root_der: bytes, rim_root_der: bytes) -> bool:
        """Return whether these two certificates (DER) are the roots: the device root, then the RIM root."""
        found = (hashlib.sha256(der).digest() for der in (device_root_der, rim_root_der))
        device, rim = (Fingerprint(digest) for digest in found)
        return _both(device, rim) == self.bundle

    @property
    def simulated(self) -> bool:
        """Return whether no hardware vendor stands behind these roots."""
        return self.id.startswith(DEV_PREFIX)


def _both(device: Fingerprint, rim: Fingerprint) -> bytes:
    return hashlib.sha256(device.der_sha256 + rim.der_sha256).digest()
