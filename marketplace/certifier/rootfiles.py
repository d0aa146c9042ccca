"""A certifier's X.509 root in files: two PEMs, the key for its owner's eyes only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from marketplace.certifier.authority import Authority, make_authority
from marketplace.certifier.config import X509Files
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.keyfiles import read_secret

__all__ = ["open_authority"]

_MAX_PEM: Final = 64 << 10


def open_authority(files: X509Files, name: str, *, now: int, simulated: bool) -> Authority:
    """Return the root in `files`; where the settings name none, make one at the first start.

    Args:
        now: Unix time, in seconds, for a new root.
        simulated: whether a new root says SIMULATED.
    Raises:
        NotFoundError, BadInputError: a file that is missing, readable by others, or not what it must be.
    """
    crl_url = None if files.url is None else f"{files.url.rstrip('/')}/v1/crl"
    if files.made and not files.key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(files, make_authority(name, key, now=now, simulated=simulated))
    key = _key(files.key)
    root = _certificate(files.certificate)
    if root.public_key() != key.public_key():
        raise BadInputError(f"x509: {files.certificate}", "a certificate of another key", f"of {files.key}")
    return Authority(key, root, crl_url)


def _write(files: X509Files, made: Authority) -> None:
    # The certificate first: a key alone would be taken for a root that is there.
    files.certificate.write_bytes(made.root_pem)
    secret = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    secret = read_secret(path)
    try:
        key = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError):
        raise BadInputError(f"x509: {path}", "something else", "a PKCS #8 key in PEM, in the clear") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInputError(f"x509: {path}", "a key of another kind", "a P-256 key")
    return key


def _certificate(path: Path) -> x509.Certificate:
    try:
        with path.open("rb") as file:
            root = x509.load_pem_x509_certificate(file.read(_MAX_PEM))
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    except OSError as error:
        raise NotFoundError(f"x509 root {path}: {error.strerror}") from error
    except (ValueError, x509.ExtensionNotFound):
        raise BadInputError(f"x509: {path}", "something else", "a certificate in PEM") from None
    if not constraints.ca:
        raise BadInputError(f"x509: {path}", "a certificate that may sign no other", "one of an authority")
    return root
