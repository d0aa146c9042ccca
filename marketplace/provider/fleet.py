"""CVMs of this provider: launched by the platform, certified before an order is accepted, found again later.

A CVM is born, certified by M certifiers, serves one order and ends. One ready CVM waits ahead of orders,
so that accepting one does not wait for a boot.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient, CvmGoneError
from marketplace.provider.journal import CvmRow, Journal
from marketplace.provider.ports import AgentChain
from marketplace.provider.services import Services

__all__ = ["Fleet", "Launched", "Launcher"]

_BOOT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Launched:
    """A CVM that the platform has started: its socket on this host, and its process id."""

    socket: Path
    pid: int


class Launcher(Protocol):
    """The platform, as far as an agent needs it."""

    def launch(self) -> Launched:
        """Start a measured CVM."""
        ...

    def kill(self, pid: int) -> None:
        """End a CVM."""
        ...


class Fleet:
    """Launches, certifies, promises and ends CVMs; the journal is its memory."""

    def __init__(
        self,
        *,
        launcher: Launcher,
        chain: AgentChain,
        services: Services,
        journal: Journal,
        operator: bytes,
        certifiers: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self._launcher = launcher
        self._chain = chain
        self._services = services
        self._journal = journal
        self._operator = operator
        self._certifiers = tuple(certifiers)
        self._say = say

    def ready(self, until: int) -> CvmRow | None:
        """Return a registered CVM that is promised to nobody and good until Unix time `until`."""
        for row in self._journal.cvms():
            if row.order_id is None and row.registered and row.cvm_id is not None:
                if not self.alive(row):
                    self._journal.ended(row.socket)
                elif self._chain.cvm_usable(row.cvm_id, until):
                    return row
                else:
                    self.retire(row)
        return None

    def prepare(self) -> None:
        """Make one more CVM ready: launch, certify, register. Finishes a launch that a crash cut off.

        Raises:
            MarketError: the platform, a certifier or the chain said no.
        """
        unfinished = [row for row in self._journal.cvms() if not row.registered and self.alive(row)]
        if unfinished:
            socket = unfinished[0].socket
        else:
            launched = self._launcher.launch()
            self._journal.launched(str(launched.socket), launched.pid)
            socket = str(launched.socket)
        self._say("CVM launched; asking certifiers")
        client = _connected(Path(socket))
        try:
            self._certify(socket, client)
        finally:
            client.close()

    def client(self, row: CvmRow) -> CvmClient | None:
        """Return a connection to a CVM, or None if it is gone."""
        client = CvmClient(Path(row.socket))
        try:
            client.call("status")
        except CvmGoneError:
            return None
        return client

    def rows(self) -> list[CvmRow]:
        """Return the CVMs that have not ended."""
        return self._journal.cvms()

    def alive(self, row: CvmRow) -> bool:
        """Return whether the CVM's process answers on its socket."""
        client = self.client(row)
        if client is None:
            return False
        client.close()
        return True

    def retire(self, row: CvmRow) -> None:
        """End a CVM that is of no more use."""
        try:
            self._launcher.kill(row.pid)
        finally:
            self._journal.ended(row.socket)

    def _certify(self, socket: str, client: CvmClient) -> None:
        public = CvmPublic.from_json(client.call("identify").members["public"])
        seen = []
        for url in self._certifiers:
            challenge = self._services.certifier_challenge(url, hex_of(self._operator))
            bundle = client.call(
                "evidence",
                purpose=Purpose.CERTIFY.value,
                operator=hex_of(self._operator),
                challenge=hex_of(challenge),
            ).members["bundle"]
            seen.append((bundle, self._services.certify(url, hex_of(self._operator), bundle)))
        certificates = [
            (from_json(CvmCertificate, one.certificate), bytes_from_hex(one.signature, 65)) for _, one in seen
        ]
        self._register(client, public, certificates)
        certified: list[JsonObject] = [
            {"bundle": bundle, "certificate": one.certificate, "signature": one.signature}
            for bundle, one in seen
        ]
        self._journal.set_fact(socket.encode(), "certified", dump(certified).decode())
        self._journal.registered(socket, public.cvm_id)
        self._say(f"CVM {hex_of(public.cvm_id)[:12]} certified by {len(certificates)}")

    def _register(
        self, client: CvmClient, public: CvmPublic, certificates: Sequence[tuple[CvmCertificate, bytes]]
    ) -> None:
        domain = self._chain.domain()
        registry = self._chain.cvm_registry()
        # Fresh per registration: the proof of possession serves this one call.
        challenge = keccak256(secrets.token_bytes(32))
        possession = client.call(
            "possess",
            operator=hex_of(self._operator),
            registry=hex_of(registry),
            chain_id=str(domain.chain_id),
            challenge=hex_of(challenge),
        ).members["signature"]
        self._chain.register_cvm(
            public.digests,
            self._operator,
            challenge,
            bytes_from_hex(possession, 65),
            certificates,
            lambda tx_hash: self._journal.sent(public.cvm_id, "register", tx_hash),
        )


def _connected(path: Path) -> CvmClient:
    until = time.monotonic() + _BOOT_TIMEOUT_S
    while time.monotonic() < until:
        if path.exists():
            client = CvmClient(path)
            try:
                client.call("status")
                return client
            except CvmGoneError:
                client.close()
        time.sleep(0.02)
    raise MarketError(f"the CVM at {os.path.basename(path)} did not answer within {_BOOT_TIMEOUT_S:.0f} s")
