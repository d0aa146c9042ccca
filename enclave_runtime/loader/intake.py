"""One input's way from ciphertext to proven content (docs/protocol.md sections 3 and 7(4), 7(5)).

`sealed.unseal` says who is at fault; this module puts it into the session's words: the host fetches again, or
the owner's object is refused and named.
"""

from __future__ import annotations

from typing import Final

from enclave_runtime.sealed.buffers import Octets
from enclave_runtime.sealed.header import HEADER_BYTES, CiphertextMismatchError, SealedInfo
from enclave_runtime.sealed.labels import STEP_CONTENT
from enclave_runtime.sealed.sink import Sink
from enclave_runtime.sealed.unseal import Unsealer
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import EnclaveError, RefusedError

__all__ = ["STEP_CONTENT_DIGEST", "HostFaultError", "Intake"]

STEP_CONTENT_DIGEST: Final = "content-digest"
"""The plaintext is not what the order pinned: another engine, other data."""
_STEP_CIPHERTEXT: Final = "ciphertext-digest"


class HostFaultError(EnclaveError):
    """The host carried the wrong bytes, or failed otherwise: it may try again, nobody else is blamed.

    Attributes:
        segment: number of the segment to fetch again, or None for header and index.
    """

    def __init__(self, step: str, got: object, expected: object, *, segment: int | None = None) -> None:
        super().__init__(f"{step}: got {got}, expected {expected}")
        self.step = step
        self.got = str(got)
        self.expected = str(expected)
        self.segment = segment


class Intake:
    """Takes one input's sealed stream in, in any order, as often as the host likes."""

    def __init__(
        self, info: SealedInfo, pinned_digest: bytes, content_key: Octets, salt: bytes, sink: Sink
    ) -> None:
        """Args:
        info: from the manifest whose digest the order pinned.
        pinned_digest: content digest in the order's offer terms; compared with the manifest's before.
        content_key: from the grant; used once, in `begin`.
        salt: from the grant.
        sink: takes the plaintext.
        """
        self._unsealer = Unsealer(info, content_key, salt, sink)
        self._pinned = pinned_digest
        self.begun = False
        self.done = False

    @property
    def received(self) -> int:
        """Return the number of segments that authenticated."""
        info = self._unsealer.info
        if not info.plaintext_bytes:
            return 1 - sum(1 for _ in self._unsealer.missing())
        return -(-self._unsealer.opened_bytes // info.segment_bytes)

    @property
    def total(self) -> int:
        """Return the number of segments in all."""
        return self._unsealer.info.layout.segments

    def begin(self, head: Octets) -> None:
        """Take header and index, one after the other.

        Raises:
            HostFaultError: not those that the manifest's ciphertext digest names.
            RefusedError: the owner's stream contradicts its manifest, or the granted key is another.
        """
        view = memoryview(head)
        try:
            self._unsealer.begin(view[:HEADER_BYTES], view[HEADER_BYTES:])
        except CiphertextMismatchError as mismatch:
            raise _host_fault(mismatch) from None
        self.begun = True

    def feed(self, segment: int, ciphertext: Octets) -> None:
        """Take one segment with its tag, out of memory that the host cannot change meanwhile.

        Raises:
            HostFaultError: other bytes than the owner sealed.
            RefusedError: the owner's bytes do not open.
        """
        if self.done:
            return
        try:
            self._unsealer.feed(segment, ciphertext)
        except CiphertextMismatchError as mismatch:
            raise _host_fault(mismatch) from None

    def finish(self) -> None:
        """Compare the content digest with the one that the order pinned.

        Raises:
            HostFaultError: a segment has to be fetched again after all.
            RefusedError: step `content-digest`: other content than the order pinned.
        """
        if self.done:
            return
        try:
            content = self._unsealer.finish()
        except CiphertextMismatchError as mismatch:
            raise _host_fault(mismatch) from None
        except RefusedError as refusal:
            if refusal.step != STEP_CONTENT:
                raise
            raise RefusedError(STEP_CONTENT_DIGEST, "0x" + refusal.got, "0x" + refusal.expected) from None
        if content.info.content_digest != self._pinned:
            got, expected = hex_of(content.info.content_digest), hex_of(self._pinned)
            raise RefusedError(STEP_CONTENT_DIGEST, got, expected)
        self.done = True

    def close(self) -> None:
        """Forget key and plaintext. May be called twice."""
        self._unsealer.abort()


def _host_fault(mismatch: CiphertextMismatchError) -> HostFaultError:
    return HostFaultError(_STEP_CIPHERTEXT, mismatch.got, mismatch.expected, segment=mismatch.segment)
