"""What an agent may say to a CVM: one class for each operation (docs/cvm-socket.md).

Parsing is strict: an unknown operation or member, or a member of another type, is no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderPreimage
from enclave_runtime.wire.records import Big, Hex20, Hex32, Items, Text, UpTo, load_record
from enclave_runtime.wire.report import MAX_INPUTS, MAX_TEXT_BYTES
from enclave_runtime.wire.report_data import Purpose

__all__ = [
    "MAX_CONFIG_BYTES",
    "MESSAGES",
    "Abandon",
    "Admit",
    "Begin",
    "BookDomain",
    "Check",
    "CheckpointMessage",
    "Evidence",
    "Feed",
    "FeedDone",
    "GrantMessage",
    "HostFailure",
    "Identify",
    "KeyRequestMessage",
    "Message",
    "Possess",
    "Published",
    "PublishedStored",
    "Refuse",
    "Report",
    "Result",
    "Run",
    "Status",
    "StopMessage",
    "Wipe",
    "parse_message",
]

MAX_CONFIG_BYTES: Final = 64 << 10
_MAX_KEY_BYTES: Final = 4 << 10

_ChainId: TypeAlias = Annotated[int, Big(256)]


@dataclass(frozen=True, slots=True)
class Status:
    """Where does the session stand?"""


@dataclass(frozen=True, slots=True)
class Identify:
    """Which keys were born here?"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quote for `operator` over a verifier's challenge."""

    purpose: Purpose
    operator: Hex20
    challenge: Hex32


@dataclass(frozen=True, slots=True)
class Possess:
    """A proof that the signer agrees to serve `operator` in the registry."""

    operator: Hex20
    registry: Hex20
    chain_id: _ChainId
    challenge: Hex32


@dataclass(frozen=True, slots=True)
class BookDomain:
    """Which OrderBook an order is in."""

    chain_id: _ChainId
    order_book: Hex20


@dataclass(frozen=True, slots=True)
class Admit:
    """The order that this CVM shall serve, with everything that its id commits to.

    Attributes:
        order_id: what the host says the order is called; compared with what the terms hash to.
        manifests: canonical JSON text of each input's manifest, in the order's order.
        config: the exact bytes that the engine will read, and `config_salt` that hides their digest.
        result_key: the client's raw hybrid public key.
        operator: whose CVM this is; goes into the evidence for key brokers.
    """

    domain: BookDomain
    order_id: Hex32
    preimage: OrderPreimage
    manifests: Annotated[tuple[Annotated[str, Text(MAX_MANIFEST_BYTES)], ...], Items(MAX_INPUTS)]
    config: Annotated[bytes, UpTo(MAX_CONFIG_BYTES)]
    config_salt: Hex32
    result_key: Annotated[bytes, UpTo(_MAX_KEY_BYTES)]
    operator: Hex20


@dataclass(frozen=True, slots=True)
class KeyRequestMessage:
    """A signed request to the owner of one input, over its broker's challenge."""

    input_index: int
    challenge: Hex32


@dataclass(frozen=True, slots=True)
class GrantMessage:
    """A grant for one input, or its renewal; its bytes are the body."""

    input_index: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Header and index of one input's sealed stream; they are the body."""

    input_index: int


@dataclass(frozen=True, slots=True)
class Feed:
    """One segment of one input's sealed stream; it is the body."""

    input_index: int
    segment: int


@dataclass(frozen=True, slots=True)
class FeedDone:
    """All segments of one input are in: compare its content digest."""

    input_index: int


@dataclass(frozen=True, slots=True)
class Check:
    """All inputs are in: sign the IntegrityReport."""


@dataclass(frozen=True, slots=True)
class CheckpointMessage:
    """Sign what was used so far, under the sequence that follows the last one."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Run:
    """Let the engine go."""


@dataclass(frozen=True, slots=True)
class StopMessage:
    """The client's signed `Stop`."""

    stop_signature: Annotated[bytes, UpTo(65)]


@dataclass(frozen=True, slots=True)
class Result:
    """A piece of the sealed result, from `offset` on; it is the answer's body."""

    offset: int


@dataclass(frozen=True, slots=True)
class Published:
    """A piece of a checkpoint that the engine published, from `offset` on; it is the answer's body."""

    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class PublishedStored:
    """A published checkpoint is stored: the CVM needs its ciphertext no more."""

    index: int


@dataclass(frozen=True, slots=True)
class Report:
    """The sealed result is stored at `location`: sign the one OrderReport and let the key out."""

    location: Annotated[str, Text(MAX_TEXT_BYTES)]
    stored: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give the signed refusal; before one exists, `reason` "keys-missing" asks for it."""

    reason: Annotated[str, Text(64)]


@dataclass(frozen=True, slots=True)
class HostFailure:
    """The host owns up: sign an OrderReport with outcome HOST."""

    reason: Annotated[str, Text(64)]


@dataclass(frozen=True, slots=True)
class Wipe:
    """The order is over: erase and sign so."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Erase and sign so, whatever the state; for orders that ended on chain without this CVM."""


Message: TypeAlias = (
    Status
    | Identify
    | Evidence
    | Possess
    | Admit
    | KeyRequestMessage
    | GrantMessage
    | Begin
    | Feed
    | FeedDone
    | Check
    | CheckpointMessage
    | Run
    | StopMessage
    | Result
    | Published
    | PublishedStored
    | Report
    | Refuse
    | HostFailure
    | Wipe
    | Abandon
)

MESSAGES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "status": Status,
        "identify": Identify,
        "evidence": Evidence,
        "possess": Possess,
        "admit": Admit,
        "key_request": KeyRequestMessage,
        "grant": GrantMessage,
        "begin": Begin,
        "feed": Feed,
        "feed_done": FeedDone,
        "check": Check,
        "checkpoint": CheckpointMessage,
        "run": Run,
        "stop": StopMessage,
        "result": Result,
        "published": Published,
        "published_stored": PublishedStored,
        "report": Report,
        "refuse": Refuse,
        "host_failure": HostFailure,
        "wipe": Wipe,
        "abandon": Abandon,
    }
)


def parse_message(header: JsonObject) -> tuple[str, Message]:
    """Return the operation and its message.

    Raises:
        WireError: no such operation, or members that it does not have.
    """
    operation = header.get("op")
    if not isinstance(operation, str) or operation not in MESSAGES:
        raise WireError(f"op: got {str(operation)[:32]!r}, expected one of {', '.join(MESSAGES)}")
    members = {name: value for name, value in header.items() if name != "op"}
    message: Message = load_record(MESSAGES[operation], members)
    return operation, message
