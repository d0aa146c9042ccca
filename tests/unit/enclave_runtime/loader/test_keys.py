"""Keys are born from entropy alone, do what they are for, and are gone when erased."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from enclave_runtime.loader.keys import CvmKeyring, ErasedError, Secret
from enclave_runtime.sealed.wrap import seal_to
from enclave_runtime.wire.cvm import Possession, cvm_registry_domain
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.signatures import recover_signer
from enclave_runtime.wire.statements import PredicateType, statement

DOMAIN = cvm_registry_domain(1, b"\x01" * 20)
POSSESSION = Possession(b"\x01" * 32, b"\x02" * 20, b"\x01" * 20, b"\x03" * 32)
STATEMENT = statement(PredicateType.WIPED, [("x", b"\x01" * 32)], {})


def entropy(seed: bytes) -> Callable[[int], bytes]:
    """Return a source that repeats for the same seed."""
    state = [seed]

    def give(size: int) -> bytes:
        state[0] = hashlib.sha512(state[0]).digest()
        return hashlib.shake_256(state[0]).digest(size)

    return give


def test_same_entropy_same_keys_other_entropy_other_keys() -> None:
    first, again, other = (CvmKeyring(entropy(seed)) for seed in (b"a", b"a", b"b"))
    assert first.public == again.public
    ours, theirs = first.public, other.public
    assert all(getattr(ours, name) != getattr(theirs, name) for name in ours.__slots__)
    assert ours.statement_spki != ours.tls_spki
    assert first.cvm_id == ours.cvm_id


def test_entropy_that_is_no_secp256k1_key_is_drawn_again() -> None:
    good = entropy(b"a")
    first = [b"\x00" * 32, b"\xff" * 32]
    keyring = CvmKeyring(lambda size: first.pop(0) if size == 32 and first else good(size))
    assert keyring.public.signer == CvmKeyring(entropy(b"a")).public.signer


def test_signer_signs_and_opens() -> None:
    keyring = CvmKeyring(os.urandom)
    assert recover_signer(typed_digest(DOMAIN, POSSESSION), keyring.sign(DOMAIN, POSSESSION)) == (
        keyring.public.signer
    )
    assert keyring.sign_statement(STATEMENT).verify(keyring.public.statement_spki)
    sealed = seal_to(keyring.public.hpke, b"secret", b"info")
    assert keyring.open(sealed, b"info").view() == b"secret"
    with pytest.raises(RefusedError):
        keyring.open(sealed, b"other")


def test_erased_keys_do_nothing() -> None:
    keyring = CvmKeyring(os.urandom)
    sealed = seal_to(keyring.public.hpke, b"secret", b"info")
    keyring.erase_hpke()
    with pytest.raises(ErasedError):
        keyring.open(sealed, b"info")
    keyring.erase_all_but_statement()
    with pytest.raises(ErasedError):
        keyring.sign(DOMAIN, POSSESSION)
    keyring.sign_statement(STATEMENT)
    keyring.erase_statement()
    with pytest.raises(ErasedError):
        keyring.sign_statement(STATEMENT)


def test_secret_is_overwritten_and_never_shown() -> None:
    secret = Secret(b"\xaa" * 32)
    held = secret.view()
    assert repr(secret).startswith("<enclave_runtime.loader.keys.Secret object")
    secret.erase()
    secret.erase()
    assert held == bytes(32)
    with pytest.raises(ErasedError):
        secret.view()
