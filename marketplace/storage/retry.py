"""Another try where a server gave no usable answer, after a pause that grows (protocol section 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from marketplace.storage.base import BlobUnreachableError
from marketplace.storage.patience import Patience, Shell, Tries

__all__ = ["with_patience"]

T = TypeVar("T")


def with_patience(ask: Callable[[], T], patience: Patience, shell: Shell) -> T:
    """Return what `ask` returns, asking again for as long as that may help.

    Raises:
        BlobUnreachableError: as the last attempt did.
        Exception: any other error of `ask`, at once.
    """
    tries = Tries(patience, shell)
    while True:
        try:
            return ask()
        except BlobUnreachableError as error:
            if not tries.again(error):
                raise
