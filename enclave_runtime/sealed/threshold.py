"""Who holds the shares of a content key, and how a share is known to be the right one (protocol section 5.4).

A manifest that names a threshold names no single grant key: its grant key is the address of the group,
derived from this list, for which nobody has a private key. So the order pins every broker, how many must
agree, and each share.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias, cast

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Entropy, Octets
from enclave_runtime.sealed.shamir import MAX_SHARES, split
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged
from enclave_runtime.wire.records import Hex20, Hex32, Items, Text, dump_record

__all__ = [
    "SHARED_BYTES",
    "ShareBroker",
    "Threshold",
    "check_broker_url",
    "deal",
    "group_address",
    "share_commitment",
]

SHARED_BYTES: Final = 64
"""What is shared: content key, then salt, 32 bytes each."""


@dataclass(frozen=True, slots=True)
class ShareBroker:
    """One holder of one share.

    Attributes:
        url: http or https address of its broker.
        grant_key: address whose signature its share grants carry, 20 bytes; no two brokers share one.
        commitment: of the share that it was given (`share_commitment`).
    """

    url: Annotated[str, Text(512)]
    grant_key: Hex20
    commitment: Hex32

    def __post_init__(self) -> None:
        """Refuse an address that nobody can ask.

        Raises:
            WireError: as `check_broker_url`.
        """
        check_broker_url(self.url)


_Brokers: TypeAlias = Annotated[tuple[ShareBroker, ...], Items(MAX_SHARES)]


@dataclass(frozen=True, slots=True)
class Threshold:
    """How many of which brokers must agree. Broker number 1 is the first of the list.

    Attributes:
        needed: t, at least 2 and at most all of them.
        brokers: n of them.
    """

    needed: int
    brokers: _Brokers

    def __post_init__(self) -> None:
        """Refuse numbers outside of the limits, and one key or one share in two places.

        Raises:
            WireError: as said.
        """
        count = len(self.brokers)
        if not 2 <= self.needed <= count <= MAX_SHARES:
            raise WireError(f"threshold: got {self.needed} of {count}, expected 2 <= t <= n <= {MAX_SHARES}")
        for what in ("grant_key", "commitment"):
            if len({getattr(broker, what) for broker in self.brokers}) != count:
                raise WireError(f"threshold: got one {what} twice: such brokers would be one")

    def digest(self) -> bytes:
        """Return what names this split, 32 bytes: the brokers in their order, t and every commitment."""
        return tagged(labels.THRESHOLD, dump(dump_record(self)))

    def address(self) -> bytes:
        """Return the group's address, 20 bytes: what stands as grant key in manifest and terms."""
        return group_address(self.digest())

    def broker(self, number: int) -> ShareBroker:
        """Return the holder of share `number`, counted from 1.

        Raises:
            WireError: there is none.
        """
        if not 1 <= number <= len(self.brokers):
            raise WireError(f"share number: got {number}, expected 1 to {len(self.brokers)}")
        return self.brokers[number - 1]

    def is_share(self, number: int, share: Octets) -> bool:
        """Return whether `share` is the one committed to under `number`; takes the same time either way."""
        expected = self.broker(number).commitment
        return len(share) == SHARED_BYTES and hmac.compare_digest(share_commitment(number, share), expected)


def group_address(digest: bytes) -> bytes:
    """Return the address of the group whose `Threshold.digest` this is, 20 bytes."""
    return tagged(labels.THRESHOLD_ADDRESS, digest)[-20:]


def share_commitment(number: int, share: Octets) -> bytes:
    """Return the commitment to one share, 32 bytes. A share is 64 uniform bytes, so it hides its share."""
    return tagged(labels.KEY_SHARE, bytes([number]), cast("bytes", share))  # no copy of a secret


def deal(
    secret: Octets, needed: int, holders: tuple[tuple[str, bytes], ...], entropy: Entropy
) -> tuple[Threshold, list[bytearray]]:
    """Cut content key and salt into a share for each holder.

    Args:
        secret: content key and salt, 64 bytes.
        needed: how many shares give them back.
        holders: (address, grant key) of each broker.
    Returns:
        What the manifest says, and the secret shares in the order of the holders.
    Raises:
        WireError: limits, a key twice, an address that is none, or a secret of another length.
    """
    if len(secret) != SHARED_BYTES:
        raise WireError(f"secret to share: got {len(secret)} bytes, expected {SHARED_BYTES}")
    shares = split(secret, needed, len(holders), entropy)
    brokers = tuple(
        ShareBroker(url, grant_key, share_commitment(number, share))
        for number, ((url, grant_key), share) in enumerate(zip(holders, shares, strict=True), start=1)
    )
    return Threshold(needed, brokers), shares


def check_broker_url(url: str) -> None:
    """Refuse another scheme, signs that a URL has not, and what would swallow a path that is added.

    Raises:
        WireError: as said.
    """
    if not url.startswith(("https://", "http://")) or not all("!" <= sign <= "~" for sign in url):
        raise WireError("release url: got something else than a plain http or https address")
    if "?" in url or "#" in url:
        raise WireError("release url: got a query or fragment, expected an address to add paths to")
