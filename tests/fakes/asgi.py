"""Calls an ASGI application in this process, one request at a time, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx

__all__ = ["AppClient"]


class AppClient:
    """A client of `app`; failures of the application surface as its answers."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def get(self, path: str) -> httpx.Response:
        """GET `path`."""
        return asyncio.run(self._call("GET", path))

    def post(
        self,
        path: str,
        *,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """POST to `path`; an iterable of bytes is sent in parts, without a declared length."""
        body: Any = content
        if content is not None and not isinstance(content, bytes):
            body = _parts(content)
        return asyncio.run(self._call("POST", path, json=json, content=body, headers=headers))

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **{k: v for k, v in options.items() if v is not None})


async def _parts(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
