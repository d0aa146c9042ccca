"""How simulated vendors keep their keys and certificates: JSON for a file that only the platform can read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.wire.errors import WireError

__all__ = ["Identity", "Key", "identities_of", "key_of", "pem_of", "reading", "state_of"]

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A key and what is said of it."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    cert: x509.Certificate

    @property
    def der(self) -> bytes:
        """Return the certificate, DER."""
        return self.cert.public_bytes(Encoding.DER)


@contextmanager
def reading(who: str) -> Iterator[None]:
    """Turn whatever a state file of another shape raises into one error.

    Raises:
        WireError: the file is `who`'s no more.
    """
    try:
        yield
    except WireError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"{who}: got a state file of another shape") from error


def state_of(identities: Mapping[str, Identity]) -> bytes:
    """Return the state of a vendor that is its identities by role: secret."""
    return json.dumps(
        {
            role: {"key": pem_of(one.key), "cert": one.cert.public_bytes(Encoding.PEM).decode()}
            for role, one in identities.items()
        }
    ).encode()


def identities_of(data: bytes, who: str, curve: type[ec.EllipticCurve]) -> dict[str, Identity]:
    """Return the identities that `state_of` wrote.

    Raises:
        WireError: something else, or a key on another curve.
    """
    found = {}
    with reading(who):
        for role, item in json.loads(data).items():
            key = key_of(item["key"], who)
            if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, curve):
                raise WireError(f"{who}: got a key that is not on {curve.name}")
            found[str(role)] = Identity(key, x509.load_pem_x509_certificate(item["cert"].encode()))
    return found


def pem_of(key: Key) -> str:
    """Return a private key in PEM: secret."""
    plain = serialization.NoEncryption()
    return key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def key_of(pem: str, who: str) -> Key:
    """Return the key that `pem_of` wrote.

    Raises:
        WireError: a key of another kind.
    """
    # Written here: checking two RSA-4096 keys again would take longer than all else at start.
    key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, Key):
        raise WireError(f"{who}: got a key of another kind")
    return key
