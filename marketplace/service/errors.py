"""What a service answers instead of a result; refusals by a numbered check are `RefusedError`."""

from __future__ import annotations

from marketplace.errors import MarketError

__all__ = ["AuditError", "BusyError", "UnavailableError"]


class BusyError(MarketError):
    """A bounded store or rate is used up; asking again later may work.

    Attributes:
        retry_after_s: seconds after which to ask again.
    """

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, hint=f"ask again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class UnavailableError(MarketError):
    """Something that this service depends on does not answer: its chain node, its collateral source."""


class AuditError(MarketError):
    """An audit log is not the chain that it was.

    Attributes:
        line: number of the first line that does not follow from the ones before, counted from 1.
    """

    def __init__(self, line: int, got: object, expected: object) -> None:
        super().__init__(
            f"audit log, line {line}: got {got}, expected {expected}",
            hint="keep the file as it is; compare the heads that the service has published",
        )
        self.line = line
