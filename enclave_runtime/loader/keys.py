"""The keys born in a CVM, what each may be used for, and how they end (docs/protocol.md sections 2 and 5.1).

None of them is ever written, sent or logged; a restart is a new CVM. Erasing: byte arrays are overwritten.
What Python and the libraries keep beyond that (copies made by a constructor, an interpreter's freed memory)
cannot be reached from here; it goes with the process, whose memory is locked, not dumpable, and ends after
one order.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from coincurve import PrivateKey as Secp256k1Key
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.sealed.buffers import Entropy, Octets
from enclave_runtime.sealed.locked import LockedBuffer
from enclave_runtime.sealed.wrap import PrivateKey as HpkeKey
from enclave_runtime.sealed.wrap import generate_keypair
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.cvm import Possession
from enclave_runtime.wire.dsse import Envelope, sign_statement
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import EnclaveError
from enclave_runtime.wire.grant import KeyRequest, SignedKeyRequest, sign_request
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.orders import OrderStart, ReportSummary
from enclave_runtime.wire.signatures import address_of, secp256k1_sign, spki

__all__ = ["CvmKeyring", "ErasedError", "Secret", "Signable"]

Signable: TypeAlias = OrderStart | ReportSummary | Possession
"""All that the chain key ever signs (section 6.1)."""

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_SEED_BYTES: Final = 48
"""Wide enough that the remainder is uniform (FIPS 186-5, appendix A.2.1)."""


class ErasedError(EnclaveError):
    """A key was asked for after it was erased."""


class Secret:
    """Bytes on a locked page that can be overwritten. Prints as its class, never its value."""

    __slots__ = ("_buffer",)

    def __init__(self, data: Octets) -> None:
        """Copy `data`."""
        self._buffer = LockedBuffer.holding(data) if len(data) else None

    def view(self) -> memoryview:
        """Return the bytes themselves, not a copy: zeros for whoever holds them after `erase`.

        Raises:
            ErasedError: they were erased.
        """
        if self._buffer is None:
            raise ErasedError("secret: it was erased")
        # A view of its own: the buffer's ends with it.
        return self._buffer.view()[:]

    def erase(self) -> None:
        """Overwrite with zeros, then forget. May be called twice."""
        if self._buffer is not None:
            self._buffer.erase()
            self._buffer = None


class CvmKeyring:
    """The four private keys of one CVM."""

    def __init__(self, entropy: Entropy) -> None:
        """Let the keys be born from `entropy`."""
        self._signer: Secp256k1Key | None = Secp256k1Key(_secp256k1_secret(entropy))
        self._statement: ec.EllipticCurvePrivateKey | None = _p256_key(entropy)
        self._tls: ec.EllipticCurvePrivateKey | None = _p256_key(entropy)
        self._hpke: HpkeKey | None = generate_keypair(entropy)
        self.public = CvmPublic(
            signer=address_of(self._signer),
            hpke=self._hpke.public_bytes,
            statement_spki=spki(self._statement.public_key()),
            tls_spki=spki(self._tls.public_key()),
        )
        self.cvm_id: bytes = self.public.cvm_id

    def sign(self, domain: Domain, struct: Signable) -> bytes:
        """Return the chain key's signature over `struct` under `domain`, 65 bytes.

        Raises:
            ErasedError: after `erase`.
        """
        if self._signer is None:
            raise ErasedError("chain key: it was erased")
        return secp256k1_sign(self._signer, typed_digest(domain, struct))

    def sign_request(self, request: KeyRequest, start_signature: bytes) -> SignedKeyRequest:
        """Return `request` under the statement key.

        Raises:
            ErasedError: after the wipe.
        """
        return sign_request(request, self._statement_key(), start_signature)

    def sign_statement(self, statement: JsonObject) -> Envelope:
        """Return `statement` in an envelope of the statement key.

        Raises:
            ErasedError: after the wipe.
        """
        return sign_statement(statement, self._statement_key())

    def open(self, sealed: bytes, info: bytes) -> Secret:
        """Return what was sealed to this CVM under `info`.

        Raises:
            RefusedError: it does not open.
            ErasedError: every grant was opened, or the order is over.
        """
        if self._hpke is None:
            raise ErasedError("grant key: it was erased")
        return Secret(self._hpke.open(sealed, info))

    def erase_hpke(self) -> None:
        """Forget the key that grants are sealed to: no further grant can be opened."""
        self._hpke = None

    def erase_all_but_statement(self) -> None:
        """Forget every key except the one that signs `wiped`."""
        self.erase_hpke()
        self._signer = None
        self._tls = None

    def erase_statement(self) -> None:
        """Forget the last key."""
        self._statement = None

    def _statement_key(self) -> ec.EllipticCurvePrivateKey:
        if self._statement is None:
            raise ErasedError("statement key: it was erased")
        return self._statement


def _secp256k1_secret(entropy: Entropy) -> bytes:
    while True:
        secret = entropy(32)
        try:
            Secp256k1Key(secret)
        except ValueError:  # zero or beyond the group's order: once in 2**128
            continue
        return secret


def _p256_key(entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    seed = int.from_bytes(entropy(_P256_SEED_BYTES), "big")
    return ec.derive_private_key(seed % (_P256_ORDER - 1) + 1, ec.SECP256R1())
