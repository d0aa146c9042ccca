"""The SDK's adapters for the agent: platform and blob store behind the agent's own interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.simulated.client import CvmState, PlatformError
from marketplace.errors import BadInputError, MarketError
from marketplace.provider.fleet import Launcher
from marketplace.provider.job import Blobs
from marketplace.provider.ports import AgentChain
from marketplace.sdk.agent_blobs import AgentBlobs
from marketplace.sdk.agent_chain import ChainOfAgent
from marketplace.sdk.launcher import SimulatedLauncher
from marketplace.sdk.profile import Profile, Session
from marketplace.sdk.provider import build_agent
from marketplace.storage.local import LocalStore


@dataclass
class FakePlatform:
    """Starts nothing; remembers what it was asked."""

    down: bool = False
    launched: list[Path] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)

    def launch(self, runtime_dir: Path, requirements: Any, socket_dir: Path, *, plain_mib: int) -> CvmState:
        if self.down:
            raise PlatformError("the platform is not there")
        assert socket_dir.is_dir() and socket_dir.stat().st_mode & 0o777 == 0o700
        self.launched.append(socket_dir)
        return self.state(len(self.launched))

    def state(self, pid: int) -> CvmState:
        running = pid not in self.killed
        return CvmState(pid, running, None, bytes(32), {}, self.launched[pid - 1] / "cvm.sock")

    def list(self) -> tuple[CvmState, ...]:
        if self.down:
            raise PlatformError("the platform is not there")
        return tuple(self.state(pid) for pid in range(1, len(self.launched) + 1))

    def kill(self, pid: int) -> CvmState:
        self.killed.append(pid)
        return self.state(pid)


def launcher(platform: FakePlatform, folder: Path) -> SimulatedLauncher:
    return SimulatedLauncher(
        platform,  # type: ignore[arg-type]
        socket_dir=folder / "cvms",
        runtime_dir=folder,
        requirements=(),
    )


def test_each_cvm_gets_a_socket_folder_of_its_own(tmp_path: Path) -> None:
    platform = FakePlatform()
    made = launcher(platform, tmp_path)
    first, second = made.launch("one"), made.launch("two")
    assert first.socket.parent == tmp_path / "cvms" / "one" and second.socket.parent.name == "two"
    assert made.find("two") == second and made.find("three") is None
    made.kill(second.pid)
    assert made.find("two") is None


def test_killing_a_cvm_that_is_gone_is_no_error(tmp_path: Path) -> None:
    platform = FakePlatform()
    made = launcher(platform, tmp_path)
    pid = made.launch("one").pid
    for _ in range(2):
        made.kill(pid)
    made.kill(999)
    assert platform.killed == [pid]


def test_a_platform_that_is_not_there_is_named_and_leaves_no_folder(tmp_path: Path) -> None:
    made = launcher(FakePlatform(down=True), tmp_path)
    with pytest.raises(MarketError, match="not there") as caught:
        made.launch("one")
    assert "doctor" in caught.value.hint
    assert not any((tmp_path / "cvms").iterdir())
    with pytest.raises(MarketError, match="not there"):
        made.kill(1)


def test_the_agents_blobs_are_ranges_of_the_store(tmp_path: Path) -> None:
    blobs: Blobs = AgentBlobs(LocalStore(tmp_path))
    uri = blobs.put(iter([b"hello ", b"world"]))
    assert blobs.size(uri) == 11
    assert blobs.read(uri, 6, 5) == b"world"
    assert blobs.read(uri, 6, 500) == b"world", "fewer at the end"
    assert blobs.read(uri, 11, 5) == blobs.read(uri, 90, 5) == b""


def test_the_adapters_are_what_the_agent_asks_for() -> None:
    def accepts(chain: AgentChain, platform: Launcher) -> None: ...

    # The types are the test: mypy checks these calls.
    del accepts
    for name in ("now", "domain", "cvm_registry"):
        assert name in AgentChain.__dict__
    for name in ("placed_since", "order", "offer", "cvm_usable", "register_cvm", "accept", "complete"):
        assert callable(getattr(ChainOfAgent, name))


@pytest.mark.parametrize("provider", [{}, {"compute_offer": 1}, {"compute_offer": 1, "journal": "j"}])
def test_an_agent_needs_its_settings(tmp_path: Path, provider: dict[str, object]) -> None:
    profile = Profile.write(tmp_path, rpc=["http://127.0.0.1:1"], deployment="d", provider=provider)
    with pytest.raises(BadInputError, match="provider"):
        build_agent(Session(profile), lambda order, text: None)
