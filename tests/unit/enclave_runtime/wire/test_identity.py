"""The public keys of a CVM: digests, id, and the one JSON form."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.cvm import cvm_id
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.identity import HPKE_PUBLIC_BYTES, CvmPublic
from enclave_runtime.wire.signatures import spki


def p256(number: int) -> bytes:
    return spki(ec.derive_private_key(number, ec.SECP256R1()).public_key())


@pytest.fixture(scope="module")
def public() -> CvmPublic:
    return CvmPublic(b"\x11" * 20, b"\x22" * HPKE_PUBLIC_BYTES, p256(3), p256(4))


def test_id_is_made_of_plain_digests_of_the_keys(public: CvmPublic) -> None:
    keys = public.digests
    assert (keys.signer, keys.hpke) == (public.signer, sha256(public.hpke))
    assert (keys.statement, keys.tls) == (sha256(public.statement_spki), sha256(public.tls_spki))
    assert public.cvm_id == cvm_id(keys)


def test_json_goes_round(public: CvmPublic) -> None:
    assert CvmPublic.from_json(public.to_json()) == public


@pytest.mark.parametrize("name", ["signer", "hpke", "statement_spki", "tls_spki"])
def test_refuses_a_key_of_another_length(public: CvmPublic, name: str) -> None:
    value = public.to_json()
    value[name] = str(value[name])[:-2]
    with pytest.raises(WireError):
        CvmPublic.from_json(value)


def test_refuses_unknown_and_missing_members(public: CvmPublic) -> None:
    with pytest.raises(WireError):
        CvmPublic.from_json(public.to_json() | {"more": "0x"})
    with pytest.raises(WireError):
        CvmPublic.from_json({"signer": public.to_json()["signer"]})
    with pytest.raises(WireError):
        CvmPublic.from_json([])
