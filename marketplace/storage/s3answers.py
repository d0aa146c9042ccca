"""What an S3 service answers to boto's calls: bounded in bytes, and complete before anybody relies on it.

boto reads a body to its end, however long that is; no call of ours has an answer
of more than a page of names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from marketplace.storage.base import DishonestServerError

__all__ = ["Answer", "answer_of", "bound_answers"]

_MAX_BODY_BYTES: Final = 4 << 20
_PIECE: Final = 64 << 10


class Answer(dict[str, Any]):
    """The fields of an answer; one that the service left out is its fault, and said so."""

    def __init__(self, fields: dict[str, Any], what: str) -> None:
        super().__init__({name: answer_of(value, what) for name, value in fields.items()})
        self._what = what

    def __missing__(self, name: str) -> Any:
        raise DishonestServerError(
            f"{self._what}: got no {name}, expected one", hint="is the endpoint an S3 service?"
        )


def answer_of(value: Any, what: str) -> Any:
    """Return what boto made of an answer, with `Answer` in the place of each dict.

    Args:
        what: which service was asked for what; begins errors.
    """
    if isinstance(value, dict):
        return Answer(value, what)
    return [answer_of(item, what) for item in value] if isinstance(value, list) else value


def bound_answers(client: Any, what: str) -> None:
    """Let a client of boto read no more of a body than `_MAX_BODY_BYTES`.

    Its calls raise DishonestServerError where there is more.
    """
    from botocore.awsrequest import AWSResponse

    # boto has a hook in the place of sending, and no public name for what sends.
    session = client._endpoint.http_session

    def send(request: Any, **_: object) -> Any:
        request.stream_output = True  # else boto reads it all at once
        response = session.send(request)
        data = bytearray()
        for piece in response.raw.stream(_PIECE):
            data += piece
            if len(data) > _MAX_BODY_BYTES:
                response.raw.close()
                raise DishonestServerError(
                    f"{what}: got a body of {len(data)} bytes or more, expected at most {_MAX_BODY_BYTES}",
                    hint="is the endpoint an S3 service?",
                )
        return AWSResponse(response.url, response.status_code, response.headers, _Body(bytes(data)))

    client.meta.events.register("before-send.s3", send)


class _Body:
    """A body that was read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: object) -> Iterator[bytes]:
        """Give all of it."""
        yield self._data
