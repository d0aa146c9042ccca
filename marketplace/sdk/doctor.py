"""What has to be true before anything works, looked at one by one, each with what to do about it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError
from marketplace.sdk.services import health_of

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["Check", "Health", "examine"]

_AHEAD_S: Final = 30
_BEHIND_S: Final = 900
_BWRAP_S: Final = 10


class Health(StrEnum):
    """How a check came out; WARN works, and may surprise."""

    GOOD = "ok"
    WARN = "warn"
    BAD = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One look: what was found, and what to do where that is not good."""

    name: str
    health: Health
    found: str
    todo: str = ""


Look = Callable[["Session"], Check]


def examine(session: Session) -> Iterator[Check]:
    """Yield every check that this profile calls for, in the order in which to mend them."""
    profile = session.profile
    looks: list[tuple[str, Look]] = [("wallet", _wallet), ("deployment", _deployment)]
    looks += [(f"node {number}", _node(url)) for number, url in enumerate(profile.rpc, 1)]
    looks += [("gas", _gas), ("token", _token), ("clock", _clock), ("blob store", _store), ("trust", _trust)]
    looks += [("sandbox", _sandbox)]
    if profile.provider.platform_socket is not None:
        looks.append(("platform", _platform))
    if profile.provider.compute_offer:
        looks.append(("stake", _provider))
    services = [("key broker", profile.owner.release_url)]
    services += [("certifier", url) for url in profile.provider.certifiers]
    looks += [(f"{name} {url}", _service(name, url)) for name, url in services if url]
    for name, look in looks:
        yield _guarded(name, look, session)


def _guarded(name: str, look: Look, session: Session) -> Check:
    try:
        return look(session)
    except (MarketError, EnclaveError, OSError) as error:
        return Check(name, Health.BAD, str(error), getattr(error, "hint", ""))


def _wallet(session: Session) -> Check:
    mode = session.profile.key.stat().st_mode & 0o777
    if mode & 0o077:
        todo = f"chmod 600 {session.profile.key}"
        return Check("wallet", Health.BAD, f"{session.profile.key} has mode {mode:04o}", todo)
    return Check("wallet", Health.GOOD, hex_of(session.address))


def _deployment(session: Session) -> Check:
    deployment = session.deployment
    found = f"chain {deployment.chain_id}, OrderBook {hex_of(deployment.order_book)}"
    return Check("deployment", Health.GOOD, found)


def _node(url: str) -> Look:
    def look(session: Session) -> Check:
        from marketplace.chain.node import Node
        from marketplace.chain.rpc import Rpc

        rpc = Rpc(url, timeout_s=5, retries=0)
        node = Node(rpc, session.deployment)
        node.check_chain()
        return Check(f"node {rpc.host}", Health.GOOD, f"block {node.head()}, chain and contracts as deployed")

    return look


def _gas(session: Session) -> Check:
    from marketplace.chain.rpc import hex_int

    wei = hex_int(session.reader.node.rpc.call("eth_getBalance", hex_of(session.address), "latest"))
    if not wei:
        return Check(
            "gas", Health.BAD, "0 wei: this wallet can send nothing", "send it some of the chain's coin"
        )
    return Check("gas", Health.GOOD, f"{wei / 10**18:.6f} of the chain's coin")


def _token(session: Session) -> Check:
    from marketplace.domain.money import format_amount

    token = session.token()
    info, held = token.info(), token.balance_of(session.address)
    found = format_amount(held, info.decimals, info.symbol)
    if held:
        return Check("token", Health.GOOD, found)
    return Check(
        "token", Health.WARN, found, f"to order or stake, get {info.symbol} ({hex_of(info.address)})"
    )


def _clock(session: Session) -> Check:
    behind = int(time.time()) - session.reader.now()
    if behind < -_AHEAD_S:
        found = f"the chain is {-behind} s ahead of this machine"
        return Check("clock", Health.WARN, found, "set this machine's clock, unless a test chain was warped")
    if behind > _BEHIND_S:
        found = f"the newest block is {behind} s old"
        return Check(
            "clock", Health.WARN, found, "a quiet test chain, or a node that lags: compare with another"
        )
    return Check("clock", Health.GOOD, f"the newest block is {max(0, behind)} s old")


def _store(session: Session) -> Check:
    from marketplace.storage.base import read_blob

    uri = session.store.put([b"cloister doctor\n"])
    if read_blob(session.store, uri, limit=64) != b"cloister doctor\n":
        return Check(
            "blob store", Health.BAD, f"{session.profile.store} gives other bytes back", "check the disk"
        )
    free = shutil.disk_usage(session.profile.store).free
    return Check("blob store", Health.GOOD, f"{session.profile.store}, {free >> 20} MiB free")


def _trust(session: Session) -> Check:
    from marketplace.collateral.sources import FileCollateral, open_source
    from marketplace.sdk.trust import root_set_of

    trust = session.profile.trust
    roots = root_set_of(trust)
    if not trust.collateral:
        todo = "name the vendor's statements in [trust] collateral"
        return Check("trust", Health.WARN, f"{roots.id}, and no collateral to verify with", todo)
    if isinstance(open_source(trust.collateral), FileCollateral):
        session.anchor()
    if roots.simulated:
        todo = "for development alone: a simulated TEE protects nothing from its operator"
        return Check("trust", Health.WARN, f"SIMULATED root set {roots.id}", todo)
    return Check("trust", Health.GOOD, f"{roots.id}, {len(trust.measurements)} measurements")


def _sandbox(session: Session) -> Check:
    path = shutil.which("bwrap")
    needed = session.profile.provider.platform_socket is not None
    bad = Health.BAD if needed else Health.WARN
    todo = "apt-get install bubblewrap; providers need it"
    if path is None:
        return Check("sandbox", bad, "no bubblewrap on PATH", todo)
    argv = [path, "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "--", "/bin/true"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_BWRAP_S, check=False)
    if done.returncode:
        first = done.stderr.strip().splitlines()[:1]
        return Check(
            "sandbox", bad, f"bubblewrap cannot isolate: {first}", "allow user namespaces on this host"
        )
    return Check("sandbox", Health.GOOD, f"{path} isolates")


def _platform(session: Session) -> Check:
    from enclave_runtime.attestation.simulated.client import PlatformClient

    socket = session.profile.provider.platform_socket
    assert socket is not None
    played, trust = PlatformClient(socket, timeout_s=5).describe(), session.profile.trust
    unlike = (
        ("root set", played.root_set, trust.root_set or "nothing"),
        ("kind of TEE", played.tee.value, " or ".join(kind.value for kind in trust.tees)),
        ("number of GPUs", str(played.gpus), str(trust.gpu.count if trust.gpu else 0)),
    )
    for name, found, believed in unlike:
        if found not in believed.split(" or "):
            words = f"its {name} is {found}, this profile believes {believed}"
            todo = "orders name what they accept; nobody may accept this one"
            return Check("platform", Health.WARN, words, todo)
    return Check("platform", Health.WARN, f"SIMULATED platform {played.root_set}", "for development alone")


def _provider(session: Session) -> Check:
    offer = session.profile.provider.compute_offer
    desk = session.reader.desk(offer, session.deployment.token)
    if desk.operator != session.address:
        found = f"{hex_of(session.address)} is not the operator of offer {offer}'s desk"
        todo = f"with the offer owner's wallet: `cloister provider desk {hex_of(session.address)}`"
        return Check("stake", Health.BAD, found, todo)
    if not desk.free:
        todo = "add some: `cloister provider stake`"
        return Check("stake", Health.BAD, f"0 free, {desk.locked} locked", todo)
    found = f"{desk.free} units free, {desk.locked} locked, {desk.active} of {desk.capacity} places taken"
    full = desk.active >= desk.capacity
    todo = "raise it with `cloister provider capacity`, or wait" if full else ""
    return Check("stake", Health.WARN if full else Health.GOOD, found, todo)


def _service(name: str, url: str) -> Look:
    def look(session: Session) -> Check:
        return Check(f"{name} {url}", Health.GOOD, health_of(url))

    return look
