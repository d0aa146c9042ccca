"""One order as the agent works on it: the preimage from the chain, the rest fetched and checked by hash.

Nothing here is believed: packet and manifests are compared with the terms, ciphertext with the manifest's
ciphertext digest. An agent accepts only what it holds (protocol section 6.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from enclave_runtime.sealed.header import (
    HEADER_BYTES,
    CiphertextIndex,
    CiphertextMismatchError,
    SealedInfo,
)
from enclave_runtime.sealed.manifest import MAX_MANIFEST_BYTES, Manifest, manifest_digest
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.codec import from_json, hex_of, to_json
from enclave_runtime.wire.orders import OrderPreimage
from marketplace.domain.offer import ListedOffer
from marketplace.domain.packet import MAX_PACKET_BYTES, OrderPacket
from marketplace.errors import MarketError
from marketplace.provider.ports import AgentChain, Placed

__all__ = ["Blobs", "HeldInput", "Job", "JobSource", "hold_inputs", "load_job"]


class Blobs(Protocol):
    """What the agent needs of the blob stores behind their scheme table."""

    def size(self, uri: str) -> int:
        """Return a blob's length, bytes."""
        ...

    def read(self, uri: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, or fewer at the end."""
        ...

    def put(self, chunks: Iterator[bytes]) -> str:
        """Store a blob and return its URI."""
        ...

    def hold(self, order_id: bytes, info: SealedInfo, locations: Sequence[str]) -> bool:
        """Have a sealed stream in the cache, verified, until `let_go`; False where none is wanted for it."""
        ...

    def holds(self, info: SealedInfo) -> bool:
        """Whether the cache has a sealed stream."""
        ...

    def read_sealed(self, info: SealedInfo, uri: str, offset: int, length: int) -> bytes:
        """As `read`, out of the cache where that has it."""
        ...

    def doubt(self, info: SealedInfo) -> None:
        """Drop a sealed stream from the cache: what came out of it was wrong."""
        ...

    def let_go(self, order_id: bytes) -> None:
        """Let the cache drop what the order held; it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class JobSource:
    """What the journal keeps of an order: enough to find everything else again."""

    preimage: OrderPreimage
    location: str
    manifest_uris: tuple[str, ...]

    def to_text(self) -> str:
        """Return canonical JSON."""
        value = {"preimage": to_json(self.preimage), "location": self.location}
        return dump({**value, "manifest_uris": list(self.manifest_uris)}).decode()

    @classmethod
    def from_text(cls, text: str) -> JobSource:
        """Return what `to_text` wrote."""
        value = parse_object(text.encode())
        uris = value["manifest_uris"]
        if not isinstance(uris, list):
            raise MarketError("journal: got no list of manifest locations")
        preimage = from_json(OrderPreimage, value["preimage"])
        return cls(preimage, str(value["location"]), tuple(str(uri) for uri in uris))

    @classmethod
    def of(cls, chain: AgentChain, placed: Placed) -> JobSource:
        """Collect the offers' terms that an order pins.

        Raises:
            MarketError: an offer that the registry does not know.
        """
        terms = placed.terms
        compute = chain.offer(terms.compute.offer, terms.compute.version)
        inputs: list[ListedOffer] = [chain.offer(item.offer, item.version) for item in terms.inputs]
        preimage = OrderPreimage(terms, compute.terms, tuple(offer.terms for offer in inputs))
        return cls(preimage, placed.location, tuple(offer.manifest_uri for offer in inputs))


@dataclass(frozen=True, slots=True)
class HeldInput:
    """An input's manifest, and where its ciphertext was found."""

    manifest_bytes: bytes
    manifest: Manifest
    ciphertext_uri: str


@dataclass(frozen=True, slots=True)
class Job:
    """Everything public that an order needs."""

    preimage: OrderPreimage
    packet: OrderPacket
    inputs: tuple[HeldInput, ...]


def load_job(source: JobSource, blobs: Blobs) -> Job:
    """Fetch and check packet and manifests, and find each ciphertext's location.

    Raises:
        MarketError: something is not to be had.
        WireError: a packet or manifest that differs from what the terms pin.
    """
    packet = OrderPacket.from_bytes(_whole(blobs, source.location, MAX_PACKET_BYTES))
    packet.check(source.preimage.terms)
    inputs = []
    for offer, uri in zip(source.preimage.inputs, source.manifest_uris, strict=True):
        data = _whole(blobs, uri, MAX_MANIFEST_BYTES)
        if manifest_digest(data) != offer.manifest_digest:
            raise MarketError(
                f"manifest at {uri}: got digest {hex_of(manifest_digest(data))}, "
                f"expected {hex_of(offer.manifest_digest)}",
                hint="ask the offer's owner where the manifest is",
            )
        manifest = Manifest.from_bytes(data)
        inputs.append(HeldInput(data, manifest, _first_location(blobs, manifest)))
    return Job(source.preimage, packet, tuple(inputs))


def hold_inputs(job: Job, blobs: Blobs, order_id: bytes) -> None:
    """Have every ciphertext, each segment compared with the index that its manifest pins.

    Raises:
        CiphertextMismatchError: names the part that differs; another location or a new download mends it.
    """
    for held in job.inputs:
        info = held.manifest.sealed
        if blobs.hold(order_id, info, held.manifest.locations):
            continue
        try:
            _check_segments(held, blobs)
        except (CiphertextMismatchError, MarketError):
            # What lies here has rotted, or cannot be read: the cache takes it from the other locations.
            others = [uri for uri in held.manifest.locations if uri != held.ciphertext_uri]
            if not others or not blobs.hold(order_id, info, others):
                raise


def _check_segments(held: HeldInput, blobs: Blobs) -> None:
    info = held.manifest.sealed
    index = CiphertextIndex(*head_parts(blobs, held.ciphertext_uri, info), info)
    for segment in range(info.layout.segments):
        index.check(segment, read_segment(blobs, held.ciphertext_uri, info, segment))


def head_parts(blobs: Blobs, uri: str, info: SealedInfo) -> tuple[bytes, bytes]:
    """Return a sealed stream's header and index."""
    layout = info.layout
    header = blobs.read_sealed(info, uri, 0, HEADER_BYTES)
    return header, blobs.read_sealed(info, uri, layout.index_offset, layout.index_bytes)


def read_segment(blobs: Blobs, uri: str, info: SealedInfo, segment: int) -> bytes:
    """Return one segment with its tag."""
    return blobs.read_sealed(info, uri, *info.layout.segment_range(segment))


def _first_location(blobs: Blobs, manifest: Manifest) -> str:
    problems = []
    if manifest.locations and blobs.holds(manifest.sealed):
        return manifest.locations[0]
    for uri in manifest.locations:
        try:
            size = blobs.size(uri)
        except MarketError as error:
            problems.append(str(error))
            continue
        if size == manifest.sealed.ciphertext_bytes:
            return uri
        problems.append(f"{uri}: got {size} bytes, expected {manifest.sealed.ciphertext_bytes}")
    raise MarketError(f"no location has the ciphertext: {'; '.join(problems)[:400]}")


def _whole(blobs: Blobs, uri: str, limit: int) -> bytes:
    size = blobs.size(uri)
    if size > limit:
        raise MarketError(f"{uri}: got {size} bytes, expected at most {limit}")
    return blobs.read(uri, 0, size)
