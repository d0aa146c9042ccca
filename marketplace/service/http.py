"""The HTTP shell around a service: bounded bodies, rates, one shape of answer for every kind of error.

A handler is a plain function from a JSON object to an `Answer`; it runs in a thread and knows no HTTP.
Refused: 403 {"refusal": {step, got, expected}}. Malformed: 400. Too large: 413. Too often: 429. A dependency
that does not answer: 503. Everything else: 500 without details; those are in the log, by class and line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.errors import BadInputError, ChainError, MarketError, NotFoundError
from marketplace.service.errors import BusyError
from marketplace.service.jsonio import MAX_BODY_BYTES, read_object
from marketplace.service.limits import RateLimit, caller_of
from marketplace.service.logs import ServiceLog

__all__ = ["Answer", "File", "Shell"]

BODY_TIMEOUT_S = 20.0
"""A caller that sends slower than its whole body in this time is dropped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers: a JSON object and an HTTP status."""

    body: JsonObject
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class File:
    """What a handler answers where others than our own clients read: bytes of a registered type."""

    data: bytes
    media_type: str


class _TooLargeError(Exception):
    """The body is larger than the shell reads."""


class Shell:
    """Makes the routes of one FastAPI application.

    Args:
        service: its name, in logs and in /healthz.
        health: more facts for GET /healthz; called for each request, so it must be quick.
        log: where events go.
        rate: per-address limit for everything but /healthz.
        max_body_bytes: larger bodies are refused before they are read to the end.
    """

    def __init__(
        self,
        service: str,
        *,
        health: Callable[[], JsonObject],
        log: ServiceLog,
        rate: RateLimit,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._log = log
        self._rate = rate
        self._limit = max_body_bytes
        self.app = FastAPI(title=f"Cloister {service}", openapi_url=None, redirect_slashes=False)
        self.app.add_exception_handler(HTTPException, _no_route)

        async def healthz(_request: Request) -> Response:
            return _json(Answer({"ok": True, "service": service, **health()}))

        self._route("/healthz", "GET", healthz)

    def get(self, path: str, handler: Callable[[], Answer | File]) -> None:
        """Answer GET `path` with `handler()`."""

        async def endpoint(request: Request) -> Response:
            return await self._guard(request, lambda: run_in_threadpool(handler))

        self._route(path, "GET", endpoint)

    def post(self, path: str, handler: Callable[[JsonObject], Answer]) -> None:
        """Answer POST `path` with `handler(body)`, the body being one bounded JSON object."""

        async def endpoint(request: Request) -> Response:
            async def act() -> Answer:
                data = await self._read_body(request)
                return await run_in_threadpool(lambda: handler(read_object(data, limit=self._limit)))

            return await self._guard(request, act)

        self._route(path, "POST", endpoint)

    def _route(self, path: str, method: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self.app.router.add_route(path, endpoint, methods=[method], include_in_schema=False)

    async def _read_body(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > self._limit:
            raise _TooLargeError
        body = bytearray()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._limit:
                    raise _TooLargeError
        return bytes(body)

    async def _guard(self, request: Request, act: Callable[[], Awaitable[Answer | File]]) -> Response:
        """Run `act` and give every error its one form."""
        try:
            self._rate.take(caller_of(None if request.client is None else request.client.host))
            return _written(await act())
        except RefusedError as refused:
            self._log.info("refused", path=request.url.path, step=refused.step)
            facts: JsonObject = {"step": refused.step, "got": refused.got, "expected": refused.expected}
            return _json(Answer({"refusal": facts}, HTTPStatus.FORBIDDEN))
        except _TooLargeError:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of more than {self._limit} bytes")
        except TimeoutError:
            return _error(HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {BODY_TIMEOUT_S:.0f} s")
        except BusyError as busy:
            response = _error(HTTPStatus.TOO_MANY_REQUESTS, str(busy))
            response.headers["retry-after"] = str(busy.retry_after_s)
            return response
        except (WireError, BadInputError) as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        except NotFoundError as error:
            return _error(HTTPStatus.NOT_FOUND, str(error))
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> Response:
        self._log.crash("request failed", error)
        if isinstance(error, MarketError):  # our own dependencies: worth asking again, and safe to name
            kind = "the chain node" if isinstance(error, ChainError) else "a dependency of this service"
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"{kind} does not answer as it should")
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected failure; the service's log has more")


def _written(answer: Answer | File) -> Response:
    if isinstance(answer, Answer):
        return _json(answer)
    return Response(answer.data, HTTPStatus.OK, {"cache-control": "no-store"}, answer.media_type)


def _json(answer: Answer) -> Response:
    return Response(dump(answer.body), answer.status, {"cache-control": "no-store"}, "application/json")


def _error(status: HTTPStatus, message: str) -> Response:
    kind = status.phrase.lower().replace(" ", "-")
    return _json(Answer({"error": {"kind": kind, "message": message[:500]}}, status))


async def _no_route(_request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    return _error(status, "no such path or method")
