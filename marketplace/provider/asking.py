"""Asking owners' brokers for grants: all at once, since each takes its time to look (protocol section 5.2).

The agent carries: it asks the broker for a challenge, the CVM for a request over it, the broker for the
grant, and hands that to the CVM. It can read none of it. Of a key in shares (5.4) it asks as many brokers as
must agree, and another one for each that fails or is slow: who drips must not cost the order's time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from enclave_runtime.sealed.manifest import Release
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from marketplace.errors import UnreachableError
from marketplace.provider.cvm import CvmClient, CvmRefusedError
from marketplace.provider.services import ServiceRefusedError, Services

__all__ = ["HEAD_START_S", "ask_for_keys"]

HEAD_START_S: Final = 1.0
"""How long the first t brokers of a key in shares are waited for before the others are asked too. Together
with a whole exchange it must stay within what `AgentPolicy.min_grace_s` leaves."""


@dataclass
class _Group:
    """The brokers of one key in shares, and how far they are.

    Attributes:
        needed: how many more must grant.
    """

    needed: int
    granted: int = 0
    failed: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def over(self) -> bool:
        return self.granted >= self.needed

    def wait_for_turn(self, place: int) -> bool:
        """Wait until the broker at `place` is needed; return False where it is not any more."""
        spare = place - self.needed + 1
        with self.changed:
            self.changed.wait_for(lambda: self.over() or self.failed >= spare, HEAD_START_S)
            return not self.over()

    def note(self, *, granted: bool) -> None:
        with self.changed:
            self.granted += granted
            self.failed += not granted
            self.changed.notify_all()


class _Round:
    """One round of asking for one CVM."""

    def __init__(
        self, services: Services, cvm: CvmClient, order: JsonObject, refused: Callable[[int, str], None]
    ) -> None:
        self._services, self._cvm, self._order, self._refused = services, cvm, order, refused
        self._one_at_a_time = threading.Lock()

    def whole(self, index: int, url: str | None) -> None:
        """Ask the one broker of an input."""
        if url is None:
            self._refused(index, "the owner grants by hand; no broker is named")
        else:
            self._ask(index, url, lambda: False, "")

    def share(self, index: int, url: str, group: _Group, place: int) -> None:
        """Ask one broker of a key in shares, if it is needed."""
        granted = False
        try:
            if not group.wait_for_turn(place):
                return
            granted = self._ask(index, url, group.over, f"{url}: ")
        finally:
            group.note(granted=granted)

    def _ask(self, index: int, url: str, needless: Callable[[], bool], who: str) -> bool:
        """Carry one grant from its broker to the CVM; return whether the CVM took it."""
        try:
            challenge = self._services.broker_challenge(url)
            with self._one_at_a_time:
                asked = self._cvm.call("key_request", input_index=index, challenge=hex_of(challenge)).members
            if needless():  # before it counts as a use
                return False
            body = {"request": asked["request"], "bundle": asked["bundle"], "order": self._order}
            grant = self._services.release(url, {**body, "challenge": hex_of(challenge)})
            if grant is None:
                self._refused(index, f"{who}the owner has not decided yet")
                return False
            with self._one_at_a_time:
                self._cvm.call("grant", grant, input_index=index)
        except (ServiceRefusedError, UnreachableError, CvmRefusedError) as error:
            self._refused(index, str(error))
            return False
        return True


def ask_for_keys(
    services: Services,
    cvm: CvmClient,
    order: JsonObject,
    brokers: Sequence[tuple[int, Release]],
    refused: Callable[[int, str], None],
) -> None:
    """Ask for the grants of several inputs, and give the CVM each as it comes.

    Args:
        order: domain and preimage, as brokers take them.
        brokers: (input index, what its manifest says of who grants).
        refused: hears (input index, why) of each broker that gave no grant now; called from several threads.
    Raises:
        CvmGoneError: the CVM does not answer.
    """
    this_round = _Round(services, cvm, order, refused)
    shared = any(release.threshold is not None for _, release in brokers)
    status = cvm.call("status").members if shared else {}
    jobs: list[Callable[[], None]] = []
    for index, release in brokers:
        if release.threshold is None:
            jobs.append(lambda index=index, url=release.url: this_round.whole(index, url))  # type: ignore[misc]
        else:
            jobs += _share_jobs(this_round, index, release, status)
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="ask") as pool:
        # Each one's exception is raised here, after all of them are through.
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def _share_jobs(
    this_round: _Round, index: int, release: Release, status: Mapping[str, object]
) -> list[Callable[[], None]]:
    """Return one job for each broker whose share or renewed consent can help."""
    assert release.threshold is not None
    missing = status.get("missing_keys")
    shares = status.get("shares")
    held: set[int] = set()
    if isinstance(missing, list) and index in missing and isinstance(shares, dict):
        held = set(shares.get(str(index), ()))
    group = _Group(release.threshold.needed - len(held))
    urls = [broker.url for number, broker in enumerate(release.threshold.brokers, 1) if number not in held]
    return [
        lambda url=url, place=place: this_round.share(index, url, group, place)  # type: ignore[misc]
        for place, url in enumerate(urls)
    ]
