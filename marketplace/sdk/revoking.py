"""Revoking a CVM on chain (docs/protocol.md section 4.5): what stands there, who may end it, and ending it.

A certifier's own revocation reaches those who read its lists. CvmRegistry reads none: there a CVM stands
until its certificate expires, or until an account with the revoker's role calls `revoke`, for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.chain import governors
from marketplace.chain.governors import Governors, revocation_call
from marketplace.errors import ChainError
from marketplace.sdk.sent import Sent

if TYPE_CHECKING:
    from marketplace.chain.reader import Reader
    from marketplace.sdk.profile import Session

__all__ = ["OnChain", "Standing", "check_revoker", "look", "revoke", "waiting_time"]


class OnChain(StrEnum):
    """What CvmRegistry says of a CVM."""

    UNKNOWN = "unknown"
    REGISTERED = "registered"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the chain holds of a CVM, and the call that ends it.

    Attributes:
        expires_at: Unix time at which its certificate ends; zero where it is unknown.
        operator: its account; empty where it is unknown.
        registry: address of CvmRegistry.
        call: what that is sent; an account that is a contract sends the same.
    """

    state: OnChain
    expires_at: int
    operator: bytes
    registry: bytes
    call: bytes


def look(reader: Reader, cvm_id: bytes) -> Standing:
    """Return what the chain says of a CVM now.

    Raises:
        ChainError: the node does not answer.
    """
    known, call = reader.cvm(cvm_id), revocation_call(cvm_id)
    registry = reader.deployment.cvm_registry
    if known is None:
        return Standing(OnChain.UNKNOWN, 0, b"", registry, call)
    if known.revoked:
        state = OnChain.REVOKED
    else:
        state = OnChain.REGISTERED if known.usable(reader.now()) else OnChain.EXPIRED
    return Standing(state, known.expires_at, known.operator, registry, call)


def waiting_time(session: Session) -> int | None:
    """Return how long this profile's account must wait for a revocation, in seconds; None: it may not revoke.

    Raises:
        ChainError: the node does not answer.
    """
    return governors.waiting_time(session.reader, session.address, "CvmRegistry", "revoke")


def check_revoker(session: Session) -> None:
    """Refuse where this profile's account may not revoke, before anything is signed or sent.

    Raises:
        ChainError: it has not the role, or has it with a delay.
    """
    from enclave_runtime.wire.codec import hex_of

    account, delay = hex_of(session.address), waiting_time(session)
    if delay is None:
        raise ChainError(
            f"revoker's role: got {account}, which has it not, expected an account that has it",
            hint="name a revoker's profile with --home, or send from elsewhere the call that --dry-run shows",
        )
    if delay:
        raise ChainError(
            f"revoker's role: got {account}, which has it with a delay of {delay} s, expected no delay",
            hint="schedule the call that --dry-run shows at the AccessManager, and execute it once it is due",
        )


def revoke(session: Session, cvm_id: bytes) -> Sent:
    """Revoke a CVM on chain with this profile's account; nothing is sent where that is done already.

    Raises:
        ContractRefusal: the account has not the role.
        ChainError: the node does not answer, or the call is not mined in time.
    """
    sent = Sent()
    Governors(session.reader, session.writer).revoke_cvm(cvm_id, sent=sent)
    return sent
