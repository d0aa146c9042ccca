"""Runs one application on one listening socket until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import uvicorn

from marketplace.errors import BadInputError
from marketplace.service.connection import TimedH11
from marketplace.service.logs import ServiceLog

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["serve"]

GRACE_S = 5
"""How long requests in flight may go on after the signal to stop."""
MAX_CONNECTIONS = 128


def serve(
    app: FastAPI,
    *,
    host: str,
    port: int,
    log: ServiceLog,
    port_file: Path | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve `app` until SIGTERM or SIGINT; both end the process with status 0.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        log: gets "listening" with host and port, and "stopped".
        port_file: gets the port as decimal text once the service answers; removed at the end.
        on_stop: called after the last request.
    Raises:
        BadInputError: the address cannot be listened on.
    """
    try:
        listener = socket.create_server((host, port), backlog=MAX_CONNECTIONS, family=_family(host))
    except OSError as error:
        raise BadInputError(
            "listen address", f"{host}:{port} ({error.strerror})", "a free local address"
        ) from error
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=TimedH11,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # else a local caller could name any address and slip its rate limit
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16 << 10,
    )
    server = _Server(config, listener, port_file, log)
    _forward_server_log(log)
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises the signal again once it has stopped
    signal.signal(signal.SIGINT, _leave)
    try:
        server.run(sockets=[listener])
    finally:
        if port_file is not None:
            port_file.unlink(missing_ok=True)
        on_stop()
        log.info("stopped")


class _Server(uvicorn.Server):
    """Tells the log and the port file where it listens, once it does."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, port_file: Path | None, log: ServiceLog
    ) -> None:
        super().__init__(config)
        self._host, self._port = listener.getsockname()[:2]
        self._port_file = port_file
        self._service_log = log

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._port_file is not None:
            fresh = self._port_file.with_name(f".{self._port_file.name}.{os.getpid()}")
            fresh.write_text(f"{self._port}\n")
            fresh.replace(self._port_file)
        self._service_log.info("listening", host=self._host, port=self._port, pid=os.getpid())


class _Forward(logging.Handler):
    """Passes on uvicorn's templates: no arguments and no tracebacks, which may carry what was sent."""

    def __init__(self, log: ServiceLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("http server", message=str(record.msg)[:120])


def _forward_server_log(log: ServiceLog) -> None:
    logger = logging.getLogger("uvicorn")
    logger.handlers = [_Forward(log)]
    logger.propagate = False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _leave(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)
