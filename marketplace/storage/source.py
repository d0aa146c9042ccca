"""One blob at its locations, read at any place: what `sealed.reader.SealedReader` and `unseal` take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from marketplace.errors import MarketError
from marketplace.storage.base import BlobStore, BlobUnreachableError
from marketplace.storage.patience import SYSTEM, Patience, Shell, Tries
from marketplace.storage.places import Places

__all__ = ["StoreSource"]


class StoreSource:
    """A `Source` and `RangeSource` of sealed ciphertext in any store; safe to use from several threads.

    A location that fails is asked again after a pause, then the next one is. Whether bytes are right is for
    the reader to say, who has the index: on a mismatch, `drop` the location and read again.
    """

    def __init__(
        self,
        locations: Sequence[str],
        store_of: Callable[[str], BlobStore],
        size: int,
        *,
        patience: Patience | None = None,
        shell: Shell = SYSTEM,
    ) -> None:
        """Take the locations, and the blob's size in bytes as its manifest says."""
        self._patience = patience or Patience()
        self._shell = shell
        self._size = size
        self._places = Places(locations, store_of, size, self._patience, shell)

    @property
    def size(self) -> int:
        """Length of the blob in bytes."""
        return self._size

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on and return how much; less only where the blob ends.

        Raises:
            NoLocationError: every location failed.
        """
        wanted = max(0, min(len(buffer), self._size - offset))
        filled = 0
        at = None
        tries = Tries(self._patience, self._shell)
        while filled < wanted:
            place = self._places.current()
            if place is not at:
                # The beginning of one location's bytes and the end of another's are nobody's.
                at, filled = place, 0
                tries.succeeded()
            before = filled
            try:
                with closing(place.store.run(place.uri, offset + filled, wanted - filled)) as run:
                    while got := run.readinto(buffer[filled:wanted]):
                        filled += got
                if filled < wanted:
                    raise BlobUnreachableError(
                        f"{place.uri}: got {wanted - filled} bytes less than asked for"
                    )
            except BlobUnreachableError as error:
                if filled > before:
                    tries.heard()
                if not tries.again(error):
                    self._places.drop(place, error)
            except MarketError as error:
                self._places.drop(place, error)
        return wanted

    read_into = read_at

    def drop(self, why: Exception) -> None:
        """Give up the location that is read now, whose bytes were wrong.

        Raises:
            NoLocationError: no other one is left.
        """
        self._places.drop(self._places.current(), why)
        self._places.current()
