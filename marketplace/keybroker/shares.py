"""A broker's shares of content keys: the file that an owner hands over, and what is kept of it (section 5.4).

A share file is a secret: one says nothing of the key, as many as must agree are the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from enclave_runtime.sealed.threshold import SHARED_BYTES, Threshold, group_address
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.records import dump_record, load_record
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.keyfiles import MAX_SECRET_BYTES, read_secret

if TYPE_CHECKING:
    from marketplace.sealing.keystore import KeyStore

__all__ = ["HeldShare", "KeyRing", "ShareFile", "StoreRing", "take_share"]

_TYPE: Final = "cloister/key-share/v1"
_MEMBERS: Final = {"type", "manifest_digest", "threshold", "number", "share"}
_NAME: Final = "share/"


@dataclass(frozen=True, slots=True)
class HeldShare:
    """One share as a broker keeps it.

    Attributes:
        threshold: digest of the split, 32 bytes.
        number: of the share, from 1.
        share: 64 bytes, secret.
    """

    threshold: bytes
    number: int
    share: bytes = field(repr=False)

    @property
    def group(self) -> bytes:
        """The group's address: the grant key in the terms of offers that this share is for, 20 bytes."""
        return group_address(self.threshold)

    def to_bytes(self) -> bytes:
        """Return the 97 bytes that a keystore keeps."""
        return self.threshold + bytes([self.number]) + self.share

    @classmethod
    def from_bytes(cls, data: bytes) -> HeldShare:
        """Return the share that `to_bytes` wrote.

        Raises:
            BadInputError: another length.
        """
        if len(data) != 33 + SHARED_BYTES:
            raise BadInputError("share in the keystore", f"{len(data)} bytes", 33 + SHARED_BYTES)
        return cls(data[:32], data[32], data[33:])


class KeyRing(Protocol):
    """The keys, and shares of keys, that one broker may release."""

    def content_key(self, manifest_digest: bytes) -> bytes | None:
        """Return content key || salt, 64 bytes, of the content with this manifest, or None if not here."""
        ...

    def share(self, manifest_digest: bytes) -> HeldShare | None:
        """Return this broker's share of them, or None if not here."""
        ...


@dataclass(frozen=True, slots=True)
class StoreRing:
    """A `KeyRing` on an open keystore; it is read again for every answer."""

    keystore: KeyStore

    def content_key(self, manifest_digest: bytes) -> bytes | None:
        """Return content key || salt, or None."""
        return self.keystore.content_key(manifest_digest)

    def share(self, manifest_digest: bytes) -> HeldShare | None:
        """Return the share, or None."""
        try:
            return HeldShare.from_bytes(self.keystore.get_secret(_NAME + manifest_digest.hex()))
        except NotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class ShareFile:
    """What an owner hands to one broker, over a channel that it would trust with a key.

    Attributes:
        manifest_digest: of the content, 32 bytes.
        threshold: all brokers, as the manifest names them.
        number: of the share, from 1.
        share: 64 bytes, secret.
    """

    manifest_digest: bytes
    threshold: Threshold
    number: int
    share: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return canonical JSON. A secret."""
        return dump(
            {
                "type": _TYPE,
                "manifest_digest": hex_of(self.manifest_digest),
                "threshold": dump_record(self.threshold),
                "number": self.number,
                "share": hex_of(self.share),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ShareFile:
        """Return the share in `data`, which is the one that its threshold commits to.

        Raises:
            BadInputError: no such file, or another share than the committed one.
        """
        try:
            value = parse_object(data.strip(), limit=MAX_SECRET_BYTES)
            if set(value) != _MEMBERS or value["type"] != _TYPE or type(value["number"]) is not int:
                raise WireError("got other members than a share file has")
            made = cls(
                bytes_from_hex(value["manifest_digest"], 32),
                load_record(Threshold, value["threshold"]),
                value["number"],
                bytes_from_hex(value["share"], SHARED_BYTES),
            )
            good = made.threshold.is_share(made.number, made.share)
        except WireError as error:
            raise BadInputError("share file", str(error), f"a file of type {_TYPE}") from None
        if not good:
            raise BadInputError("share file", "another share", f"share {made.number} as it was committed to")
        return made


def take_share(path: Path, keystore: KeyStore, grant_key: bytes) -> ShareFile:
    """Keep the share in the file at `path`, if it is for the broker with this grant address.

    The file may be removed afterwards.

    Raises:
        NotFoundError, BadInputError: no such file, readable by others, damaged, or another broker's share.
    """
    found = ShareFile.from_bytes(read_secret(path))
    holder = found.threshold.broker(found.number).grant_key
    if holder != grant_key:
        raise BadInputError(
            "share file",
            f"the share of broker {found.number}, whose grant address is {hex_of(holder)}",
            f"one for this broker's {hex_of(grant_key)}",
        )
    held = HeldShare(found.threshold.digest(), found.number, found.share)
    keystore.put_secret(_NAME + found.manifest_digest.hex(), held.to_bytes())
    return found
