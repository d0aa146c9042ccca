"""EIP-712 messages, signed by eth-account: a third implementation beside Solidity and `wire`."""

from __future__ import annotations

from typing import Any, Final

from eth_account import Account
from eth_account.messages import encode_typed_data

__all__ = ["TYPES", "compact", "sign"]

TYPES: Final[dict[str, str]] = {
    "OrderStart": "bytes32 orderId,bytes32 cvmId,bytes32 inputsRoot",
    "ReportSummary": "bytes32 orderId,bytes32 cvmId,uint8 phase,uint32 sequence,uint8 outcome,"
    "uint8 attributableInput,bytes32 inputsRoot,bytes32 resultDigest,bytes32 statementDigest,"
    "uint32 secondsUsed,uint64 unitsUsed",
    "Possession": "bytes32 cvmId,address operator,address registry,bytes32 challenge",
    "CvmCertificate": "bytes32 cvmId,address signer,bytes32 hpke,bytes32 statement,bytes32 tls,"
    "address operator,bytes32 measurement,uint8 tee,bytes32 rootSet,uint8 tcbStatus,bytes32 platformId,"
    "bytes32 gpuDigest,bytes32 evidenceId,bytes32 challenge,uint40 issuedAt,uint40 expiresAt",
    "Permit": "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline",
}


def sign(key: str, name: str, chain_id: int, contract: str, kind: str, values: tuple[Any, ...]) -> bytes:
    """Return r || s || v by `key` over struct `kind` in the domain {name, "1", chain_id, contract}."""
    members = [member.split(" ") for member in TYPES[kind].split(",")]
    message = encode_typed_data(
        domain_data={"name": name, "version": "1", "chainId": chain_id, "verifyingContract": contract},
        message_types={kind: [{"type": typ, "name": member} for typ, member in members]},
        message_data={member: value for (_, member), value in zip(members, values, strict=True)},
    )
    return bytes(Account.sign_message(message, key).signature)


def compact(signature: bytes) -> tuple[bytes, bytes]:
    """Return r and vs (EIP-2098): s with the parity in its highest bit."""
    r, s, v = signature[:32], signature[32:64], signature[64]
    return r, (int.from_bytes(s, "big") | (v - 27) << 255).to_bytes(32, "big")
