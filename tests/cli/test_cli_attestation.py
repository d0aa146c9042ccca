"""`cloister certifier attestation` against a served certifier on a local chain: what it says of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.chain.devchain import DevChain
from marketplace.sdk.profile import Profile
from tests.cli.transcript import Transcript
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.chain_world import World
from tests.integration.services_kit import certifier_home, serving

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

TRANSCRIPT = Path(__file__).parent / "transcripts" / "attestation.txt"
KNOWN, STRANGER = PrivateKey(b"\x21" * 32), PrivateKey(b"\x22" * 32)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give a reader's home, a certifier of the quorum, and one that nobody knows."""
    folder, tdx = tmp_path_factory.mktemp("attestation"), SimulatedTdx()
    with DevChain.start() as chain:
        world = World(chain)
        world.governors.add_certifier(address_of(KNOWN))
        world.deployment.save(folder / "deployment.json")
        (folder / "key").write_text("33" * 32)
        (folder / "key").chmod(0o600)
        Profile.write(folder, rpc=[chain.url], deployment="deployment.json", key="key")
        now = world.reader.now()
        configs = [
            certifier_home(folder / name, tdx, chain.url, key, deployment=world.deployment, now=now)
            for name, key in (("known", KNOWN), ("stranger", STRANGER))
        ]
        with serving("certifier", configs[0]) as known, serving("certifier", configs[1]) as stranger:
            yield {
                "HOME": str(folder),
                "URL": str(known.http.base_url).rstrip("/"),
                "STRANGER": str(stranger.http.base_url).rstrip("/"),
                "ADDRESS": hex_of(address_of(STRANGER)),
                "RPC": chain.url,
            }


def test_transcript_of_asking_certifiers(places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    Transcript(TRANSCRIPT, places).check()
