"""CVM identity: keys, possession, certificate (twin of types/Certificates.sol; protocol sections 2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from enclave_runtime.wire.eip712 import Domain, hash_struct
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.scalars import U8, U40, Address, Bytes32

__all__ = [
    "CvmCertificate",
    "CvmKeys",
    "Possession",
    "TcbStatus",
    "TeeKind",
    "certifier_quorum_domain",
    "cvm_id",
    "cvm_registry_domain",
    "root_set_hash",
]


class TeeKind(IntEnum):
    """Numbers are part of signatures: append only."""

    NONE = 0
    TDX = 1
    SGX = 2
    SEV_SNP = 3
    NITRO = 4
    CCA = 5


class TcbStatus(IntEnum):
    """Best first, so that a floor is one comparison."""

    NONE = 0
    UP_TO_DATE = 1
    SW_HARDENING_NEEDED = 2
    CONFIGURATION_NEEDED = 3
    CONFIGURATION_AND_SW_HARDENING_NEEDED = 4
    OUT_OF_DATE = 5
    OUT_OF_DATE_CONFIGURATION_NEEDED = 6
    REVOKED = 7


@dataclass(frozen=True, slots=True)
class CvmKeys:
    """Digests of the public keys born in a CVM; `signer` is the address of its secp256k1 key."""

    signer: Address
    hpke: Bytes32
    statement: Bytes32
    tls: Bytes32


@dataclass(frozen=True, slots=True)
class Possession:
    """Signed by `signer`: these keys agree to serve `operator` in `registry`."""

    cvm_id: Bytes32
    operator: Address
    registry: Address
    challenge: Bytes32


@dataclass(frozen=True, slots=True)
class CvmCertificate:
    """One certifier's verdict on one piece of evidence (section 4.5)."""

    cvm_id: Bytes32
    signer: Address
    hpke: Bytes32
    statement: Bytes32
    tls: Bytes32
    operator: Address
    measurement: Bytes32
    tee: U8
    root_set: Bytes32
    tcb_status: U8
    platform_id: Bytes32
    gpu_digest: Bytes32
    evidence_id: Bytes32
    challenge: Bytes32
    issued_at: U40
    expires_at: U40


def cvm_id(keys: CvmKeys) -> bytes:
    """Return the CVM id: the EIP-712 struct hash of the key digests, without a domain."""
    return hash_struct(keys)


def root_set_hash(root_set: str) -> bytes:
    """Return how a root set id such as "intel" or "dev:<hex>" is named on chain, 32 bytes."""
    return keccak256(root_set.encode("ascii"))


def cvm_registry_domain(chain_id: int, registry: bytes) -> Domain:
    """Return the domain under which `Possession` is signed."""
    return Domain("Cloister CvmRegistry", "1", chain_id, registry)


def certifier_quorum_domain(chain_id: int, verifier: bytes) -> Domain:
    """Return the domain under which `CvmCertificate` is signed."""
    return Domain("Cloister CertifierQuorum", "1", chain_id, verifier)
