"""P-256 verdicts: the bytes that P256Verdict reads, checked by the library that did not make them."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys, cvm_id
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.certificates import claim_of
from marketplace.chain.verdicts import p256_evidence, p256_key_id, p256_verdict_domain
from marketplace.errors import BadInputError

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DOMAIN = p256_verdict_domain(31337, b"\x52" * 20)
SCHEME = ec.ECDSA(Prehashed(hashes.SHA256()))


def certificate(issued: int = 5) -> CvmCertificate:
    keys = CvmKeys(b"\x01" * 20, b"\x02" * 32, b"\x03" * 32, b"\x04" * 32)
    ids = (keys.signer, keys.hpke, keys.statement, keys.tls)
    rest = (b"\x08" * 32, b"\x09" * 32, b"\x0a" * 32, b"\x0b" * 32)
    facts = (b"\x05" * 20, b"\x06" * 32, 1, b"\x07" * 32, 2)
    return CvmCertificate(cvm_id(keys), *ids, *facts, *rest, issued, issued + 9)


@pytest.mark.parametrize("issued", range(8))
def test_signs_the_digest_with_a_low_s_when_the_key_is_p256(issued: int) -> None:
    key, said = ec.generate_private_key(ec.SECP256R1()), certificate(issued)
    evidence = p256_evidence(DOMAIN, said, key)
    assert len(evidence) == 468
    assert evidence[:266] == claim_of(said)
    assert evidence[266:340] == said.evidence_id + said.challenge + bytes(
        (0, 0, 0, 0, issued, 0, 0, 0, 0, issued + 9)
    )
    assert keccak256(evidence[340:404]) == p256_key_id(key.public_key())
    r, s = int.from_bytes(evidence[404:436], "big"), int.from_bytes(evidence[436:], "big")
    assert s <= ORDER // 2
    key.public_key().verify(encode_dss_signature(r, s), typed_digest(DOMAIN, said), SCHEME)
    elsewhere = p256_verdict_domain(204, b"\x52" * 20)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(encode_dss_signature(r, s), typed_digest(elsewhere, said), SCHEME)


def test_refuses_key_when_it_is_on_another_curve() -> None:
    with pytest.raises(BadInputError, match="secp256r1"):
        p256_evidence(DOMAIN, certificate(), ec.generate_private_key(ec.SECP256K1()))
