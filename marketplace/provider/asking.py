"""Asking owners' brokers for grants: all at once, since each takes its time to look (protocol section 5.2).

The agent carries: it asks the broker for a challenge, the CVM for a request over it, the broker for the
grant, and hands that to the CVM. It can read none of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from marketplace.errors import UnreachableError
from marketplace.provider.cvm import CvmClient, CvmRefusedError
from marketplace.provider.services import ServiceRefusedError, Services

__all__ = ["ask_for_keys"]


def ask_for_keys(
    services: Services,
    cvm: CvmClient,
    order: JsonObject,
    brokers: Sequence[tuple[int, str | None]],
    refused: Callable[[int, str], None],
) -> None:
    """Ask for the grants of several inputs, and give the CVM each as it comes.

    Args:
        order: domain and preimage, as brokers take them.
        brokers: (input index, address; None where the owner grants by hand).
        refused: hears (input index, why) of each input that got no grant now; called from several threads.
    Raises:
        CvmGoneError: the CVM does not answer.
    """
    one_at_a_time = threading.Lock()

    def ask(index: int, url: str | None) -> None:
        if url is None:
            refused(index, "the owner grants by hand; no broker is named")
            return
        try:
            challenge = services.broker_challenge(url)
            with one_at_a_time:
                asked = cvm.call("key_request", input_index=index, challenge=hex_of(challenge)).members
            body = {"request": asked["request"], "bundle": asked["bundle"], "order": order}
            grant = services.release(url, {**body, "challenge": hex_of(challenge)})
            if grant is None:
                refused(index, "the owner has not decided yet")
                return
            with one_at_a_time:
                cvm.call("grant", grant, input_index=index)
        except (ServiceRefusedError, UnreachableError, CvmRefusedError) as error:
            refused(index, str(error))

    with ThreadPoolExecutor(len(brokers), thread_name_prefix="ask") as pool:
        # Each one's exception is raised here, after all of them are through.
        for done in [pool.submit(ask, index, url) for index, url in brokers]:
            done.result()
