"""What an owner says of sealed content, once and for all (docs/protocol.md section 3.4).

Canonical JSON, whose digest is in the offer's terms: a loader that walks from the order id arrives here and
needs no other word on what the content is, which key opens it, and where keys come from. A parsed manifest
is a valid one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.tarformat import name_fault
from enclave_runtime.sealed.threshold import Threshold, check_broker_url
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.records import Hex20, Items, Text, dump_record, load_record

__all__ = ["MAX_MANIFEST_BYTES", "MEDIA_TYPE_TAR", "VERSION", "Manifest", "Release", "manifest_digest"]

VERSION: Final = 1
MAX_MANIFEST_BYTES: Final = 64 << 10
MEDIA_TYPE_TAR: Final = "application/x-tar"
"""The archive of section 3.1."""
PYTHON: Final = "python"
"""As program of an entry point: the interpreter of the measured image."""

_SIZE: Final = "ciphertext_bytes"
_RELEASE: Final = "release"
_THRESHOLD: Final = "threshold"
_CONTENT: Final = (OfferKind.ENGINE, OfferKind.MODEL, OfferKind.DATASET)
_Words: TypeAlias = Annotated[tuple[Annotated[str, Text(4096)], ...], Items(64)]
_Uris: TypeAlias = Annotated[tuple[Annotated[str, Text(2048)], ...], Items(16)]


@dataclass(frozen=True, slots=True)
class Release:
    """Where keys come from.

    Attributes:
        url: http or https address of the owner's key broker, or None where the owner grants by hand.
        grant_key: address whose signature a grant must carry; a delegate, never the payout key. With a
            threshold, the group's address, which nobody signs with.
        threshold: the brokers that hold shares of the key (section 5.4), or None where one holds it all; then
            the member is not written.
    """

    url: Annotated[str, Text(2048)] | None
    grant_key: Hex20
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        """Refuse an address that nobody can ask, and a threshold beside another word on who grants.

        Raises:
            WireError: as said.
        """
        if self.url is not None:
            check_broker_url(self.url)
        if self.threshold is None:
            return
        if self.url is not None or self.grant_key != self.threshold.address():
            raise WireError("release: got a threshold with an address or grant key that is not the group's")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of an engine, a model or a dataset.

    Attributes:
        kind: ENGINE, MODEL or DATASET.
        media_type: form of the plaintext.
        sealed: digests, sizes and key commitment of the stream; `ciphertext_bytes` is written beside them.
        entry_point: engines only: `python` or a program of the engine's folder, then its arguments.
        locations: URIs of the ciphertext, hints tried in order.
    """

    kind: OfferKind
    media_type: Annotated[str, Text(128)]
    sealed: SealedInfo
    entry_point: _Words
    locations: _Uris
    release: Release
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what no loader could use.

        Raises:
            WireError: another version or kind, an entry point missing, misplaced or outside of the engine's
                folder, or text with other than plain signs.
        """
        if self.version != VERSION:
            raise WireError(f"manifest: got version {self.version}, expected {VERSION}")
        if self.kind not in _CONTENT:
            raise WireError(f"manifest: got kind {self.kind.name}, expected an engine, a model or a dataset")
        if not all(_is_plain(text) for text in (self.media_type, *self.locations)):
            raise WireError("manifest: got spaces or other than ASCII signs in a media type or location")
        if bool(self.entry_point) is not (self.kind is OfferKind.ENGINE):
            raise WireError(f"entry point: got {len(self.entry_point)} words for a {self.kind.name}")
        if self.entry_point:
            _check_entry_point(self.entry_point)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            WireError: longer than `MAX_MANIFEST_BYTES`, or a list or text beyond its limit.
        """
        value = dump_record(self)
        value[_SIZE] = self.sealed.ciphertext_bytes
        release = value[_RELEASE]
        if isinstance(release, dict) and release[_THRESHOLD] is None:
            del release[_THRESHOLD]
        data = dump(value)
        if len(data) > MAX_MANIFEST_BYTES:
            raise WireError(f"manifest: got {len(data)} bytes, expected at most {MAX_MANIFEST_BYTES}")
        return data

    def digest(self) -> bytes:
        """Return the digest that the offer's terms carry, 32 bytes."""
        return manifest_digest(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Return the manifest in `data`.

        Raises:
            WireError: oversize, not canonical, other members, or values that no manifest has.
        """
        value = parse_object(data, limit=MAX_MANIFEST_BYTES)
        size = value.pop(_SIZE, None)
        release = value.get(_RELEASE)
        if isinstance(release, dict):
            if release.get(_THRESHOLD, ()) is None:  # no threshold has one spelling: no member
                raise WireError("release: got a threshold of null, expected none or a threshold")
            release.setdefault(_THRESHOLD, None)
        manifest = load_record(cls, value)
        if size != manifest.sealed.ciphertext_bytes or isinstance(size, bool):
            raise WireError(f"manifest: got {size!r:.40} ciphertext bytes, expected those of its plaintext")
        return manifest


def manifest_digest(data: bytes) -> bytes:
    """Return the manifest digest of these bytes, 32 bytes; also for bytes that are still to be parsed."""
    return tagged(labels.MANIFEST, data)


def _check_entry_point(words: tuple[str, ...]) -> None:
    if any(not word or "\x00" in word for word in words):
        raise WireError("entry point: got a word that is empty or has a NUL")
    if words[0] != PYTHON and (fault := name_fault(words[0])):
        raise WireError(
            f"entry point: got {fault} as program, expected {PYTHON!r} or one of the engine's own"
        )


def _is_plain(text: str) -> bool:
    return bool(text) and all("!" <= sign <= "~" for sign in text)
