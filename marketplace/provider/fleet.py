"""CVMs of this provider: launched by the platform, certified before an order is accepted, found again later.

A CVM is born, certified by as many certifiers as the chain asks for, serves one order and ends. Ready CVMs
wait ahead of orders, so that accepting one does not wait for a boot.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from enclave_runtime.wire.canonical import JsonObject, dump, parse
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient, CvmGoneError
from marketplace.provider.journal import CvmRow, Journal
from marketplace.provider.ports import AgentChain
from marketplace.provider.renewing import renew
from marketplace.provider.services import Certification, ServiceRefusedError, Services

__all__ = ["Fleet", "Launched", "Launcher"]

_BOOT_TIMEOUT_S: Final = 20.0
_FREE: Final = "AWAIT_ORDER"


@dataclass(frozen=True, slots=True)
class Launched:
    """A CVM that the platform has started: its socket on this host, and its process id."""

    socket: Path
    pid: int


class Launcher(Protocol):
    """The platform, as far as an agent needs it."""

    def launch(self, name: str) -> Launched:
        """Start a measured CVM under a name that was never used before."""
        ...

    def find(self, name: str) -> Launched | None:
        """Return the running CVM that was launched under `name`."""
        ...

    def kill(self, pid: int) -> None:
        """End a CVM, and return when it is gone; one that is gone already is no error."""
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
        boot_timeout_s: float = _BOOT_TIMEOUT_S,
    ) -> None:
        self._launcher = launcher
        self._chain = chain
        self._services = services
        self._journal = journal
        self._operator = operator
        self._certifiers = tuple(certifiers)
        self._say = say
        self._boot_timeout_s = boot_timeout_s

    def ready(self, until: int) -> CvmRow | None:
        """Return a registered CVM that is promised to nobody and good until Unix time `until`."""
        return next(iter(self.spare(until)), None)

    def spare(self, until: int) -> list[CvmRow]:
        """Return all of those; what is gone, taken, or not good any more even now, leaves the fleet."""
        now, found = self._chain.now(), []
        for row in self._journal.cvms():
            if row.order_id is not None or not row.registered or row.cvm_id is None:
                continue
            state = self._state(row)
            if not state:
                self.gone(row)
            elif state == _FREE and self._chain.cvm_usable(row.cvm_id, until):
                found.append(row)
            elif state != _FREE or not self._chain.cvm_usable(row.cvm_id, now):
                self.retire(row)
        return found

    def usable(self, row: CvmRow, until: int) -> bool:
        """Return whether a CVM waits for an order and is good until Unix time `until`."""
        if row.cvm_id is None or self._state(row) != _FREE:
            return False
        return self._chain.cvm_usable(row.cvm_id, until)

    def renew(self, until: int) -> CvmRow | None:
        """Return a waiting CVM whose certificates last until then, now that they were renewed, or None.

        Cheaper than another CVM: no boot, no quote. What cannot be renewed stays as it is.
        """
        for row in self.spare(self._chain.now()):
            try:
                self._renew(row)
            except MarketError as error:
                self._say(f"CVM {row.name} is not renewed: {error}")
                continue
            if row.cvm_id is not None and self._chain.cvm_usable(row.cvm_id, until):
                return row
        return None

    def prepare(self) -> bytes:
        """Make one more CVM ready: launch, certify, register. Finishes a launch that a crash cut off.

        Returns:
            Its CVM id.

        Raises:
            MarketError: the platform, a certifier or the chain said no.
        """
        row = self.unfinished() or self._launch()
        self._say(f"CVM {row.name} launched; asking certifiers")
        try:
            client = self._connected(row)
        except MarketError:
            self.retire(row)
            raise
        try:
            return self._certify(row.socket, client)
        except ServiceRefusedError:
            # What it is measured as will not change: the next one may be of a newer runtime or platform.
            self.retire(row)
            raise
        finally:
            client.close()

    def client(self, row: CvmRow) -> CvmClient | None:
        """Return a connection to a CVM, or None if it is gone."""
        client = CvmClient(Path(row.socket))
        return client if client.reach() else None

    def rows(self) -> list[CvmRow]:
        """Return the CVMs that have not ended."""
        return self._journal.cvms()

    def alive(self, row: CvmRow) -> bool:
        """Return whether the CVM's process answers on its socket."""
        return bool(self._state(row))

    def retire(self, row: CvmRow) -> None:
        """End a CVM that is of no more use.

        Raises:
            MarketError: the platform is not there, and the CVM is.
        """
        try:
            self._launcher.kill(row.pid)
        except MarketError:
            if self.alive(row):
                raise
        self.gone(row)

    def gone(self, row: CvmRow) -> None:
        """Note that a CVM's process has ended, and remove its socket's folder."""
        self._journal.ended(row.socket)
        path = Path(row.socket)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # its own, and empty by now; any other stays

    def unfinished(self) -> CvmRow | None:
        """Return a launched CVM that is not registered yet; what died on the way is noted.

        Raises:
            MarketError: the platform is not there.
        """
        for name in self._journal.intended():
            # The agent died around a launch: whether there is such a CVM, the platform knows.
            found = self._launcher.find(name)
            if found is None:
                self._journal.never_launched(name)
            else:
                self._journal.launched(name, str(found.socket), found.pid)
        for row in self._journal.cvms():
            if not row.registered and row.order_id is None:
                if self.alive(row) or self._launcher.find(row.name) is not None:
                    return row
                self.gone(row)
        return None

    def _state(self, row: CvmRow) -> str:
        """Return the CVM's state by its own word, empty where nobody answers."""
        client = CvmClient(Path(row.socket))
        try:
            return str(client.call("status").members.get("state"))
        except CvmGoneError:
            return ""
        finally:
            client.close()

    def _launch(self) -> CvmRow:
        name = secrets.token_hex(4)
        self._journal.intend(name)
        launched = self._launcher.launch(name)
        self._journal.launched(name, str(launched.socket), launched.pid)
        return CvmRow(name, str(launched.socket), launched.pid, None, False, None, False)

    def _connected(self, row: CvmRow) -> CvmClient:
        path, until = Path(row.socket), time.monotonic() + self._boot_timeout_s
        while time.monotonic() < until:
            client = CvmClient(path)
            try:
                client.call("status")
                return client
            except CvmGoneError:
                client.close()
            time.sleep(0.02)
        raise MarketError(f"the CVM {row.name} did not answer within {self._boot_timeout_s:.0f} s")

    # ------------------------------------------------------------------------------------------- certifying
    def _certify(self, socket: str, client: CvmClient) -> bytes:
        public = CvmPublic.from_json(client.call("identify").members["public"])
        seen = self._vouchers(Path(socket), self._chain.certifier_threshold())
        certificates = [
            (from_json(CvmCertificate, one.certificate), bytes_from_hex(one.signature, 65)) for _, one in seen
        ]
        certified: list[JsonObject] = [
            {"bundle": bundle, "certificate": one.certificate, "signature": one.signature}
            for bundle, one in seen
        ]
        self._register(client, public, certificates)
        self._journal.set_fact(socket.encode(), "certified", dump(certified).decode())
        self._journal.registered(socket, public.cvm_id)
        self._say(f"CVM {hex_of(public.cvm_id)[:12]} certified by {len(certificates)}")
        return public.cvm_id

    def _renew(self, row: CvmRow) -> None:
        fact = self._journal.fact(row.socket.encode(), "certified")
        if fact is None or row.cvm_id is None:
            raise MarketError("nothing is kept of its certification")
        known = cast("list[JsonObject]", parse(fact.encode()))
        client = self._connected(row)
        try:
            wanted = self._chain.certifier_threshold()
            got = renew(self._services, client, self._certifiers, self._place(), known, wanted)
            public = CvmPublic.from_json(client.call("identify").members["public"])
        finally:
            client.close()
        certificates = [
            (from_json(CvmCertificate, one["certificate"]), bytes_from_hex(one["signature"], 65))
            for one in got.certified
        ]
        self._put_on_chain(public, got.challenge, got.possession, certificates)
        self._journal.set_fact(row.socket.encode(), "certified", dump([*got.certified]).decode())
        self._say(f"CVM {row.name} renewed by {len(certificates)}")

    def _vouchers(self, path: Path, wanted: int) -> list[tuple[Any, Certification]]:
        """Return the verdicts of `wanted` certifiers; others are asked only where one has none.

        Raises:
            ServiceRefusedError: too few vouch, and one of them looked and said no.
            MarketError: too few answer.
        """
        found: list[tuple[Any, Certification]] = []
        trouble: list[MarketError] = []
        left = list(self._certifiers)
        while len(found) < wanted and len(found) + len(left) >= wanted:
            asked, left = left[: wanted - len(found)], left[wanted - len(found) :]
            with ThreadPoolExecutor(len(asked), thread_name_prefix="certify") as pool:
                for answer in [pool.submit(self._vouched, path, url) for url in asked]:
                    try:
                        found.append(answer.result())
                    except MarketError as error:
                        trouble.append(error)
        if len(found) >= wanted:
            return found
        trouble.sort(key=lambda error: not isinstance(error, ServiceRefusedError))
        raise trouble[0] if trouble else MarketError(f"got {len(left)} certifiers, expected {wanted} or more")

    def _vouched(self, path: Path, url: str) -> tuple[Any, Certification]:
        """Return what one certifier saw, and its verdict; with a connection of its own."""
        operator = hex_of(self._operator)
        challenge = self._services.certifier_challenge(url, operator)
        with contextlib.closing(CvmClient(path)) as client:
            bundle = client.call(
                "evidence", purpose=Purpose.CERTIFY.value, operator=operator, challenge=hex_of(challenge)
            ).members["bundle"]
        return bundle, self._services.certify(url, operator, bundle)

    def _register(
        self, client: CvmClient, public: CvmPublic, certificates: Sequence[tuple[CvmCertificate, bytes]]
    ) -> None:
        # Fresh per registration: the proof of possession serves this one call.
        challenge = keccak256(secrets.token_bytes(32))
        answer = client.call("possess", b"", **self._place(), challenge=hex_of(challenge))
        self._put_on_chain(public, challenge, bytes_from_hex(answer.members["signature"], 65), certificates)

    def _put_on_chain(
        self,
        public: CvmPublic,
        challenge: bytes,
        possession: bytes,
        certificates: Sequence[tuple[CvmCertificate, bytes]],
    ) -> None:
        self._chain.register_cvm(
            public.digests,
            self._operator,
            challenge,
            possession,
            certificates,
            lambda tx_hash: self._journal.sent(public.cvm_id, "register", tx_hash),
        )

    def _place(self) -> dict[str, str]:
        """Return whom and where a CVM proves to that it has its keys."""
        chain_id = str(self._chain.domain().chain_id)
        registry = hex_of(self._chain.cvm_registry())
        return {"operator": hex_of(self._operator), "registry": registry, "chain_id": chain_id}
