"""A contract's custom errors in words: the values that disagreed, and what to do (protocol section 10)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import Phase
from marketplace.chain.abicodec import decode, parse_type
from marketplace.chain.artifacts import Entry, contract
from marketplace.domain.order_state import OrderState
from marketplace.errors import ChainError, NotFoundError, RpcError

__all__ = ["HINTS", "ContractRefusal", "refusal_from", "refusal_of"]

_ERROR_STRING: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_SOURCES: Final = (
    "Errors",
    "OrderBook",
    "ProviderRegistry",
    "LeaseBook",
    "OfferRegistry",
    "CertifierQuorum",
    "Authority",
    "TestToken",
)
"""Artefacts whose errors are known: our own list, and what OpenZeppelin's code in them throws."""


class ContractRefusal(ChainError):  # noqa: N818 - a refusal is what the protocol calls it
    """A contract refused a call; nothing was changed.

    Attributes:
        name: the custom error, such as "OrderBook_DepositTooLow"; "Error" for a text, "unknown" for neither.
        arguments: its values by name.
    """

    def __init__(self, name: str, arguments: dict[str, Any], *, call: str = "") -> None:
        shown = ", ".join(f"{key} {_show(name, value)}" for key, value in arguments.items())
        super().__init__(
            f"{call + ': ' if call else ''}refused with {name}({shown})", hint=HINTS.get(name, "")
        )
        self.name = name
        self.arguments = arguments


def refusal_of(data: bytes, *, call: str = "") -> ContractRefusal:
    """Return the refusal that revert data stands for; never fails.

    Args:
        data: what the node gave; may be empty or foreign.
        call: name of the function that was called, for the message.
    """
    selector, rest = data[:4], data[4:]
    try:
        if selector == _ERROR_STRING:
            return ContractRefusal(
                "Error", {"message": decode(parse_type({"type": "string"}), rest[32:])}, call=call
            )
        if selector == _PANIC:
            return ContractRefusal("Panic", {"code": int.from_bytes(rest[:32], "big")}, call=call)
        entry = _known().get(selector)
        if entry is not None:
            return ContractRefusal(entry.name, entry.arguments(rest), call=call)
    except WireError:
        pass
    return ContractRefusal("unknown", {"data": data[:100]}, call=call)


def refusal_from(error: RpcError, *, call: str = "") -> ChainError:
    """Return the refusal in a node's error, or the error itself where no contract spoke."""
    if error.data or error.code == 3 or "revert" in error.node_message.lower():
        return refusal_of(error.data, call=call)
    return error


_KNOWN: dict[bytes, Entry] = {}


def _known() -> dict[bytes, Entry]:
    if not _KNOWN:
        for name in _SOURCES:
            try:
                _KNOWN.update(contract(name).errors)
            except NotFoundError:
                continue
    return _KNOWN


def _show(error: str, value: Any) -> str:
    """Return a value in words: enumerations reach the ABI as numbers, member names as padded bytes."""
    kind = _ENUMS.get(error)
    if kind is not None and type(value) is int and value in set(kind):
        return kind(value).name
    if not isinstance(value, bytes):
        return str(value)
    text = value.rstrip(b"\x00")
    if len(value) == 32 and text.isascii() and text.decode().replace(".", "").isalnum():
        return text.decode()
    return "0x" + value.hex()


_ENUMS: Final[dict[str, type[IntEnum]]] = {
    "OrderBook_WrongState": OrderState,
    "OrderBook_NotTerminal": OrderState,
    "OrderBook_WrongPhase": Phase,
}

HINTS: Final[dict[str, str]] = {
    "OrderBook_WrongState": "the order has moved on; look at `cloister order why`",
    "OrderBook_WrongPhase": "the order is in another phase; look at `cloister order why`",
    "OrderBook_NotTerminal": "this comes after the order has ended",
    "OrderBook_TooLate": "the deadline is over; anybody may expire or cancel the order now",
    "OrderBook_TooEarly": "wait until the deadline is over",
    "OrderBook_NotClient": "only the client may do this; use the wallet of the order, or its signature",
    "OrderBook_NotPayer": "only the payer may do this; use the wallet that paid the deposit",
    "OrderBook_Paused": "the market takes no new orders now; orders under way go on and end as ever",
    "OrderBook_HoldbackPending": "wait for the client's receipt, or until the holdback window is over",
    "OrderBook_SlashFirst": "claim the rest first: the provider's lock pays what inputs are due",
    "OrderBook_NothingDue": "nothing more is due by now",
    "OrderBook_AlreadyClaimed": "this was claimed before; the receivers withdraw their credit",
    "OrderBook_FullyFunded": "the deposit pays for the whole order already",
    "OrderBook_NoHoldback": "nothing is held back of this order now",
    "OrderBook_NeedsProof": "this offer is restricted: accept with a proof that the order is admitted",
    "OrderBook_RentTooLong": "ask for fewer seconds: an offer has a longest rent",
    "OrderBook_CvmRetired": "the operator took this CVM out of service; use another",
    "OrderBook_NotSignedBy": "the signature is not that of the order's client or payer",
    "OrderBook_DepositTooLow": "quote again, and place with the deposit that it names",
    "OrderBook_FeeAboveMax": "the protocol fee rose above the order's limit; place again with a higher limit",
    "OrderBook_WindowTooShort": "lengthen this window",
    "OrderBook_PolicyRefuses": "this CVM does not fit the client's policy; offer another",
    "OrderBook_NotReference": "the market does not accept this runtime; update it",
    "OrderBook_CvmUnknown": "let the certifiers vouch for the CVM and register it first",
    "OrderBook_CvmExpires": "renew the CVM's certificate",
    "OrderBook_CvmRevoked": "the CVM was revoked: `void` an accepted order, `settle-revoked` a running one",
    "OrderBook_NotSigned": "the signature is not of the CVM that the order was accepted for",
    "OfferRegistry_Closed": "the owner closed this version; choose another offer, or a newer version",
    "OfferRegistry_Retired": "the owner took this version from sale for good; choose another",
    "OfferRegistry_OtherTerms": "that version has other terms; quote again with the newest version",
    "OfferRegistry_NotOwner": "use the wallet that listed the offer",
    "OfferRegistry_VersionUsed": "another listing took this serial meanwhile; list again",
    "OfferRegistry_OtherEpoch": "the owner cancelled all offers that it had signed; ask for a fresh one",
    "OfferRegistry_SignedExpired": "the signed offer is over; ask the owner for a fresh one",
    "OfferRegistry_VolumeUsed": "the signed offer is used up; ask the owner for a fresh one",
    "RestrictionLib_NotAllowed": "the offer is restricted: this client, engine or runtime is not listed",
    "RoyaltyLib_TooManyEntries": "too many parents: list the model with its lineage unproven",
    "ProviderRegistry_NotOwner": "use the wallet that owns the compute offer",
    "ProviderRegistry_NoDesk": "open a desk for this offer and token first: `cloister provider desk`",
    "ProviderRegistry_AlreadyOpen": "the desk is open; change its operator, payee or capacity instead",
    "ProviderRegistry_NotOperator": "use the operator key that the desk names",
    "ProviderRegistry_Full": "the desk is full: raise its capacity, or wait until an order ends",
    "ProviderRegistry_FreeStakeTooLow": "add stake, or wait until other orders' locks end",
    "ProviderRegistry_NothingRequested": "ask for stake first: `cloister provider unstake`",
    "ProviderRegistry_StillUnbonding": "wait until the unbonding time is over",
    "ProviderRegistry_TooMuch": "ask for less",
    "LeaseBook_NotOwner": "use the wallet that listed the offer",
    "LeaseBook_NotOpen": "the owner sells no leases by these terms; see `cloister lease terms`",
    "LeaseBook_StillOpen": "give notice first: `cloister lease notice`",
    "LeaseBook_PlacesTaken": "orders use this lease: wait until they have ended",
    "LeaseBook_NoPlace": "all places of the lease are taken: wait until an order ends, or take another lease",
    "LeaseBook_EndsBefore": "the lease may end before the order: renew it first",
    "LeaseBook_Over": "the lease is over; take a new one",
    "LeaseBook_TooManyPeriods": "pay fewer periods ahead",
    "LeaseBook_NotLessee": "use the lessee's wallet",
    "LeaseBook_NotPayer": "use the wallet that paid for the lease",
    "LeaseBook_NothingEarned": "nothing was earned since the last time",
    "Ledger_NothingCredited": "nothing is credited to this account; claim first",
    "Ledger_CreditTooLow": "withdraw no more than is credited",
    "CertifierQuorum_TooFew": "collect certificates from more certifiers",
    "CertifierQuorum_NotCertifier": "a certificate is not by a certifier of this market",
    "CvmRegistry_NotLater": "a certificate that lasts longer is already registered",
    "CvmRegistry_Expired": "ask the certifiers for a fresh certificate",
    "AccessManagedUnauthorized": "this account does not hold the role that the call needs",
    "ERC20InsufficientBalance": "the wallet holds too little of the token",
    "ERC20InsufficientAllowance": "approve the token first, or use a permit; a permit may have expired",
    "SafeERC20FailedOperation": "the token refused the transfer",
    "Escrow_ReceivedOther": "this token moves other amounts than it is asked to; it is unfit for orders",
}
"""What to do about each refusal that a person can do something about."""
