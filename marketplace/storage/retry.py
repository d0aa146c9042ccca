"""Another try where a server gave no usable answer, after a pause that grows (protocol section 10).

Libraries that wait for each piece of an answer wait for ever where a server gives one now and then: their
calls are made in a thread of their own, which is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from marketplace.storage.base import BlobUnreachableError
from marketplace.storage.patience import Patience, Shell, Tries

__all__ = ["with_patience", "within"]

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


def within(seconds: float, ask: Callable[[], T], what: str) -> T:
    """Return what `ask` returns, if it does so in time.

    Args:
        what: begins the error.
    Raises:
        BlobUnreachableError: it takes longer; it is not ended, and nobody hears of it any more.
        Exception: any error of `ask`.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(ask())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="storage-call", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise BlobUnreachableError(
            f"{what}: got no whole answer in {seconds:.0f} s, expected one",
            hint="the server is slow or stuck: try again later, or use another location",
        )
    return results[0]
