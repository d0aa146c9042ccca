"""Chains whose every signature is right are refused for names, roles and keys that are not AMD's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from enclave_runtime.attestation.collateral import AmdCollateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp import chain
from enclave_runtime.attestation.sev_snp.layout import KEY_VCEK
from enclave_runtime.attestation.sev_snp.vek import Vek, encode_extensions
from enclave_runtime.attestation.simulated.snp import asn1
from enclave_runtime.attestation.snp_rules import SnpTcb
from tests.evidence.snp_case import vendor

AUTHORITY = asn1.authority_extensions(may_sign_lists=False)
ROOT = asn1.authority_extensions(may_sign_lists=True)
FACTS = Vek(KEY_VCEK, "Genoa", SnpTcb(1, 2, 3, 4), hwid=b"\x01" * 64)
P384 = ec.generate_private_key(ec.SECP384R1())
STRANGE = (("1.2.3.4", True, b"\x05\x00"),)
CONSTRAINTS, USAGE = AUTHORITY


@dataclass
class Made:
    """A chain as AMD's would be; each test changes one thing and everything is signed all the same."""

    names: dict[str, str] = field(
        default_factory=lambda: {"ark": "ARK-Genoa", "ask": "SEV-Genoa", "vek": "SEV-VCEK"}
    )
    issuers: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, tuple[tuple[str, bool, bytes], ...]] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)

    def load(self) -> chain.Chain:
        rsa_keys = vendor("Genoa")._rsa
        keys = {"ark": rsa_keys["ark"], "ask": rsa_keys["ask"], "vek": P384} | self.keys
        parents = {"ark": "ark", "ask": "ark", "vek": "ask"}
        facts = tuple((oid, False, value) for oid, value in encode_extensions(FACTS).items())
        usual = {"ark": ROOT, "ask": AUTHORITY, "vek": facts}
        made = {
            role: asn1.certificate(
                subject=asn1.name("DEV SIMULATED", self.names[role]),
                issuer=asn1.name("DEV SIMULATED", self.issuers.get(role, self.names[parent])),
                serial=1,
                dates=(0, 1 << 31),
                key=keys[role].public_key(),
                extensions=self.extensions.get(role, usual[role]),
                issuer_key=keys[parent],
            )
            for role, parent in parents.items()
        }
        collateral = AmdCollateral("Genoa", made["vek"], made["ask"], made["ark"], chain.NO_CRL)
        return chain.load_chain(collateral, RootSet.dev(made["ark"]))


def refused(made: Made, words: str) -> None:
    with pytest.raises(AttestationError) as caught:
        made.load()
    assert caught.value.step == Step.CHAIN and words in str(caught.value), caught.value


def test_the_usual_chain_holds():
    found = Made().load()
    assert found.facts == FACTS and found.product == "Genoa"


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("ark", "Genoa"),
        ("ark", "ARK-Milan"),
        ("ask", "SEV-Milan"),
        ("ask", "SEV-VLEK-Genoa"),
        ("ask", "ARK-Genoa"),
        ("vek", "SEV-Genoa"),
    ],
)
def test_names_are_amds(role, name):
    made = Made()
    made.names[role] = name
    refused(made, name)


def test_a_vceks_facts_are_no_vleks():
    made = Made()
    made.names["vek"] = "SEV-VLEK"
    refused(made, "no extension 5")


@pytest.mark.parametrize("role", ["ark", "ask", "vek"])
def test_each_names_its_issuer(role):
    refused(Made(issuers={role: "ARK-Other"}), "another issuer")


@pytest.mark.parametrize("role", ["ark", "ask"])
@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (CONSTRAINTS,),
        (USAGE,),
        (("2.5.29.19", True, b"\x30\x00"), USAGE),
        (("2.5.29.19", True, b"\x30\x03\x01\x01\x00"), USAGE),
        (("2.5.29.19", True, b"\x04\x00"), USAGE),
        (CONSTRAINTS, ("2.5.29.15", True, b"\x03\x02\x01\x02")),
        (CONSTRAINTS, ("2.5.29.15", True, b"\x03\x01\x00")),
        (*AUTHORITY, *STRANGE),
    ],
)
def test_issuers_are_authorities_without_strange_duties(role, extensions):
    words = "critical extensions" if extensions[2:] else "authorit"
    refused(Made(extensions={role: extensions}), words)


def test_keys_are_of_amds_kinds():
    refused(Made(keys={"vek": ec.generate_private_key(ec.SECP256R1())}), "P-384")
    refused(Made(keys={"vek": vendor("Genoa")._rsa["ask"]}), "P-384")
    short, small = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(3, 4096)
    for role in ("ark", "ask"):
        refused(Made(keys={role: short}), "4096")
        refused(Made(keys={role: small}), "65537")
