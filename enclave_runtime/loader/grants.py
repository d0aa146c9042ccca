"""Key requests, and whether a grant or a share grant answers one (docs/protocol.md sections 5.1 and 5.4).

Each condition is a check of its own with a step of its own. A refused grant is a refused message: the host
could have made it up, so the order goes on and the owner may grant again. Time is the CVM's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from enclave_runtime.loader.admission import AdmittedOrder
from enclave_runtime.loader.keys import CvmKeyring, Secret
from enclave_runtime.loader.shares import ShareShelf
from enclave_runtime.sealed.stream import KEY_BYTES
from enclave_runtime.sealed.threshold import Threshold
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.grant import Grant, GrantConditions, KeyRequest, SignedKeyRequest
from enclave_runtime.wire.share_grant import ShareConditions, ShareGrant

__all__ = ["MAX_REQUESTS", "NANOSECONDS", "ContentKey", "GrantDesk"]

NANOSECONDS: Final = 1_000_000_000
MAX_REQUESTS: Final = 64
"""Requests remembered for one input; the oldest gives way."""


_Sealed: TypeAlias = tuple[bytes, GrantConditions | ShareConditions]


@dataclass(frozen=True, slots=True)
class ContentKey:
    """What one good grant brought, or as many share grants as it takes.

    Attributes:
        key: opens the input's stream.
        salt: hides its content digest.
        expires_ns: end of the grant, on the CVM's clock.
    """

    key: Secret
    salt: bytes
    expires_ns: int


@dataclass(frozen=True, slots=True)
class _Asked:
    signed: SignedKeyRequest
    made_ns: int


class GrantDesk:
    """Asks for the keys of one order and judges what comes back."""

    def __init__(self, order: AdmittedOrder, keyring: CvmKeyring, start_signature: bytes) -> None:
        """Args:
        start_signature: goes with each request, so that anybody can submit it again.
        """
        self._order = order
        self._keyring = keyring
        self._start_signature = start_signature
        self._asked: dict[int, dict[bytes, _Asked]] = {item.index: {} for item in order.inputs}
        self._shelves = {
            item.index: ShareShelf(item.manifest.release.threshold)
            for item in order.inputs
            if item.manifest.release.threshold is not None
        }

    def ask(self, index: int, challenge: bytes, now_ns: int) -> SignedKeyRequest:
        """Return a new signed request for the key of input `index`; its time to live starts now."""
        order = self._order
        request = KeyRequest(
            order_id=order.order_id,
            cvm_id=self._keyring.cvm_id,
            input_index=index,
            manifest_digest=order.inputs[index].terms.manifest_digest,
            engine_digest=order.engine.terms.content_digest,
            config_digest=order.preimage.terms.config_digest,
            result_key_digest=order.preimage.terms.result_key_digest,
            challenge=challenge,
            orders_before=0,  # a CVM serves one order and ends
        )
        signed = self._keyring.sign_request(request, self._start_signature)
        asked = self._asked[index]
        asked[signed.digest] = _Asked(signed, now_ns)
        while len(asked) > MAX_REQUESTS:
            del asked[next(iter(asked))]
        return signed

    def open(self, index: int, data: bytes, now_ns: int) -> ContentKey | None:
        """Return the key in the grant `data` for input `index`; None while more shares of it are needed.

        Raises:
            RefusedError: names the first condition that does not hold.
        """
        shelf = self._shelves.get(index)
        if shelf is not None:
            return self._open_share(index, shelf, data, now_ns)
        grant, expires_ns = self._judge(index, data, now_ns)
        # (4) Sealed to this CVM under exactly these conditions.
        secret = self._unseal((grant.sealed_key, grant.conditions))
        try:
            return _content_key(index, secret.view(), expires_ns)
        finally:
            secret.erase()

    def renew(self, index: int, key: ContentKey, data: bytes, now_ns: int) -> ContentKey:
        """Return `key` with the time of the grant `data`: the owner agreed to more, its key is here already.

        Raises:
            RefusedError: names the first condition that does not hold.
        """
        shelf = self._shelves.get(index)
        if shelf is None:
            _, expires_ns = self._judge(index, data, now_ns)
            return replace(key, expires_ns=max(key.expires_ns, expires_ns))
        share, expires_ns = self._judge_share(index, shelf.threshold, data, now_ns)
        shelf.consent(share.conditions.share, expires_ns)
        return replace(key, expires_ns=max(key.expires_ns, shelf.expires_ns))

    def shares(self, now_ns: int) -> dict[int, list[int]]:
        """Return the numbers of the shares in force, by the input that they are of."""
        return {index: shelf.in_force(now_ns) for index, shelf in self._shelves.items()}

    def erase(self) -> None:
        """Overwrite the shares that were not put together."""
        for shelf in self._shelves.values():
            shelf.erase()

    def _open_share(self, index: int, shelf: ShareShelf, data: bytes, now_ns: int) -> ContentKey | None:
        grant, expires_ns = self._judge_share(index, shelf.threshold, data, now_ns)
        number = grant.conditions.share
        secret = self._unseal((grant.sealed_share, grant.conditions))
        # (5) The share that was committed to: who gave another one is named, and the others can still answer.
        if not shelf.threshold.is_share(number, secret.view()):
            secret.erase()
            holder = hex_of(shelf.threshold.broker(number).grant_key)
            got = f"another share than broker {number} ({holder}) was given"
            raise RefusedError("grant-share", got, f"the share {number} that the manifest commits to")
        shelf.put(number, secret, expires_ns)
        combined = shelf.combined(now_ns)
        if combined is None:
            return None
        try:
            return _content_key(index, combined.view(), shelf.expires_ns)
        except RefusedError:
            shelf.forget()  # the owner dealt no key: nothing of it counts as given
            raise
        finally:
            combined.erase()
            shelf.erase()

    def _judge(self, index: int, data: bytes, now_ns: int) -> tuple[Grant, int]:
        """Return the grant, and when it ends."""
        try:
            grant = Grant.from_bytes(data)
            signer = grant.grant_key()
        except WireError as error:
            raise RefusedError("grant-form", error, "a signed grant") from None
        # (1) The owner's grant key, from the terms that the order pins, consented to exactly this.
        _same("grant-signer", signer, self._order.inputs[index].terms.grant_key)
        return grant, self._judge_conditions(index, grant.conditions, now_ns)

    def _judge_share(
        self, index: int, threshold: Threshold, data: bytes, now_ns: int
    ) -> tuple[ShareGrant, int]:
        """Return the share grant, and when it ends."""
        try:
            grant = ShareGrant.from_bytes(data)
            signer = grant.grant_key()
        except WireError as error:
            raise RefusedError("grant-form", error, "a signed share grant") from None
        # (0) Of this split of this key: shares of two splits never meet.
        _same("grant-threshold", grant.conditions.threshold, threshold.digest())
        try:
            broker = threshold.broker(grant.conditions.share)
        except WireError as error:
            raise RefusedError("grant-share", error, "a share that the manifest names") from None
        # (1) The broker that holds it, from the manifest that the order pins, consented to exactly this.
        _same("grant-signer", signer, broker.grant_key)
        return grant, self._judge_conditions(index, grant.conditions.grant, now_ns)

    def _judge_conditions(self, index: int, told: GrantConditions, now_ns: int) -> int:
        """Return when a grant under these conditions ends."""
        order, item = self._order, self._order.inputs[index]
        # (2) For this order, this CVM, this input; this engine, configuration and receiver of the result.
        _same("grant-order", told.order_id, order.order_id)
        _same("grant-cvm", told.cvm_id, self._keyring.cvm_id)
        if told.input_index != index:
            raise RefusedError("grant-input", f"input {told.input_index}", f"input {index}")
        _same("grant-input", told.manifest_digest, item.terms.manifest_digest)
        _same("grant-engine", told.engine_digest, order.engine.terms.content_digest)
        _same("grant-config", told.config_digest, order.preimage.terms.config_digest)
        _same("grant-result-key", told.result_key_digest, order.preimage.terms.result_key_digest)
        # (3) In answer to a request of this CVM, and in time.
        asked = self._asked[index].get(told.request_digest)
        if asked is None:
            expected = f"one of the {len(self._asked[index])} requests for input {index}"
            raise RefusedError("grant-request", hex_of(told.request_digest), expected)
        expires_ns = asked.made_ns + told.ttl_s * NANOSECONDS
        if now_ns >= expires_ns:
            age_s = (now_ns - asked.made_ns) // NANOSECONDS
            raise RefusedError("grant-expired", f"{age_s} s after the request", f"less than {told.ttl_s} s")
        return expires_ns

    def _unseal(self, sealed: _Sealed) -> Secret:
        """Return content key and salt, or a share of them; the caller erases it."""
        data, conditions = sealed
        try:
            secret = self._keyring.open(data, conditions.to_bytes())
        except RefusedError as refusal:
            raise RefusedError("grant-opens", refusal.got, refusal.expected) from None
        if (length := len(secret.view())) != KEY_BYTES + len(NO_SALT):
            secret.erase()
            raise RefusedError("grant-opens", f"{length} bytes", "a content key and a salt, 64 bytes")
        return secret


def _content_key(index: int, data: memoryview, expires_ns: int) -> ContentKey:
    """Return the key that content key and salt, 64 bytes, make; copies, so that `data` can be erased."""
    salt = bytes(data[KEY_BYTES:])
    if index == 0 and salt != NO_SALT:
        raise RefusedError("grant-salt", "a salt for the engine", "none: its digest is bare")
    return ContentKey(Secret(data[:KEY_BYTES]), salt, expires_ns)


def _same(step: str, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise RefusedError(step, hex_of(got), hex_of(expected))
