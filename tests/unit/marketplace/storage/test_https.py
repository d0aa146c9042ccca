"""Ranges over TLS: the certificate must be the server's, and its name the one that was asked for."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from marketplace.storage.base import BlobUnreachableError, DishonestServerError, pieces
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from tests.fakes.range_server import Asked, RangeServer

DATA = bytes(range(256)) * 2000
LOOPBACK = NetworkPolicy(dangerous_allow_loopback=True)
ONCE = Patience(tries=1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "storage test")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    )
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def ranges_that_trust(certificate: Path | None) -> Ranges:
    context = ssl.create_default_context(cafile=None if certificate is None else str(certificate))
    return Ranges(LOOPBACK, ONCE, tls=context)


def test_reads_ranges_over_tls(certificate: Path) -> None:
    tls = server_side(certificate)
    with RangeServer(DATA, tls=tls) as server, closing(ranges_that_trust(certificate)) as ranges:
        assert ranges.size(server.url) == len(DATA)
        run = ranges.run(server.url, 5, 400_000, len(DATA))
        assert b"".join(pieces(run, 400_000, server.url)) == DATA[5:400_005]


def test_believes_no_certificate_of_somebody_else(certificate: Path) -> None:
    with RangeServer(DATA, tls=server_side(certificate)) as server:
        with pytest.raises(BlobUnreachableError, match=r"(?i)certificate"):
            ranges_that_trust(None).size(server.url)
        assert server.asked == []


def test_the_name_must_be_the_one_that_was_asked_for(certificate: Path) -> None:
    def lookup(host: str, port: int) -> list[object]:
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    context = ssl.create_default_context(cafile=str(certificate))
    with RangeServer(DATA, tls=server_side(certificate)) as server:
        ranges = Ranges(LOOPBACK, ONCE, lookup=lookup, tls=context)
        with pytest.raises(BlobUnreachableError, match=r"(?i)mismatch"):
            ranges.size(f"https://models.example.org:{server.port}/blob")


def test_follows_no_redirect_from_tls_to_none(certificate: Path) -> None:
    with RangeServer(DATA) as plain:

        def downgrade(asked: Asked) -> None:
            asked.answer(b"", status="302 Found", location=plain.url, content_length=0)

        with (
            RangeServer(DATA, downgrade, tls=server_side(certificate)) as server,
            closing(ranges_that_trust(certificate)) as ranges,
            pytest.raises(DishonestServerError, match="from https to http"),
        ):
            ranges.size(server.url)
        assert plain.asked == []
