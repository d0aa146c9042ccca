#!/usr/bin/env python3
"""Writes what Python's certifiers sign, for the verifiers in Solidity: conformance/vectors/verdicts.json.

usage: scripts/generate_verdict_vectors.py [--check]    --check writes nothing; fails where the file differs

Certificates come from a fixed seed. P-256 signatures are made by `cryptography` (OpenSSL), deterministic.
Both verifiers stand at the addresses in the file, on forge's chain id.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from coincurve import PrivateKey  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from enclave_runtime.wire.codec import hex_of  # noqa: E402
from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys, certifier_quorum_domain, cvm_id  # noqa: E402
from enclave_runtime.wire.eip712 import typed_digest  # noqa: E402
from enclave_runtime.wire.signatures import address_of, secp256k1_sign  # noqa: E402
from marketplace.chain.certificates import quorum_evidence  # noqa: E402
from marketplace.chain.verdicts import p256_evidence, p256_key_id, p256_verdict_domain  # noqa: E402

FILE = ROOT / "tests/conformance/vectors/verdicts.json"
CHAIN_ID = 31337
QUORUM = b"\x51" * 20
VERDICT = b"\x52" * 20
CASES = 16


def certificate(rng: random.Random) -> CvmCertificate:
    """Return a certificate of random members."""
    keys = CvmKeys(rng.randbytes(20), rng.randbytes(32), rng.randbytes(32), rng.randbytes(32))
    issued = rng.randrange(1, 1 << 39)
    return CvmCertificate(
        cvm_id=cvm_id(keys),
        signer=keys.signer,
        hpke=keys.hpke,
        statement=keys.statement,
        tls=keys.tls,
        operator=rng.randbytes(20),
        measurement=rng.randbytes(32),
        tee=rng.randrange(1, 256),
        root_set=rng.randbytes(32),
        tcb_status=rng.randrange(1, 256),
        platform_id=rng.randbytes(32),
        gpu_digest=rng.randbytes(32),
        evidence_id=rng.randbytes(32),
        challenge=rng.randbytes(32),
        issued_at=issued,
        expires_at=issued + rng.randrange(1, 1 << 39),
    )


def table() -> dict[str, Any]:
    """Return the whole file."""
    rng = random.Random("cloister verdicts")
    certifiers = [PrivateKey(rng.randbytes(32)) for _ in range(2)]
    key = ec.derive_private_key(rng.randrange(1, 1 << 255), ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    quorum, verdict = certifier_quorum_domain(CHAIN_ID, QUORUM), p256_verdict_domain(CHAIN_ID, VERDICT)
    said = [certificate(rng) for _ in range(CASES)]
    return {
        "chainId": CHAIN_ID,
        "quorum": hex_of(QUORUM),
        "verdict": hex_of(VERDICT),
        "certifiers": [hex_of(address_of(item)) for item in certifiers],
        "x": hex_of(numbers.x.to_bytes(32, "big")),
        "y": hex_of(numbers.y.to_bytes(32, "big")),
        "key": hex_of(p256_key_id(key.public_key())),
        "cvmIds": [hex_of(c.cvm_id) for c in said],
        "expiries": [c.expires_at for c in said],
        "quorumEvidence": [
            hex_of(
                quorum_evidence(
                    quorum, [(c, secp256k1_sign(item, typed_digest(quorum, c))) for item in certifiers]
                )
            )
            for c in said
        ],
        "p256Evidence": [hex_of(p256_evidence(verdict, c, key)) for c in said],
    }


def main() -> int:
    """Write or check the file."""
    text = json.dumps(table(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if not FILE.exists() or FILE.read_text() != text:
            print(f"{FILE.relative_to(ROOT)} is not what the generator writes", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
