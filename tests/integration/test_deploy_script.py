"""scripts/deploy on a local chain, and what it refuses to put on a real one (protocol sections 4.4 and 6)."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.cvm import TcbStatus, root_set_hash
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.deploy import MarketPlan, check_deployment, deploy_all
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DevChain
from marketplace.chain.governors import Governors
from marketplace.chain.reader import Reader
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.signer import Signer, checksum_address, create_keystore
from marketplace.chain.writer import Writer
from marketplace.errors import BadInputError
from tests.integration.chain_world import PARAMS, ROOT_SET

pytestmark = [pytest.mark.contracts, pytest.mark.integration]
ROOT = Path(__file__).resolve().parents[2]
MEASUREMENT = "0x" + "ab" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with DevChain.start() as running:
        yield running


def deploy(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "deploy", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


def test_deploys_checks_and_never_overwrites(chain: DevChain, tmp_path: Path) -> None:
    wallet, passphrase, out = tmp_path / "wallet.json", tmp_path / "pass", tmp_path / "market.json"
    passphrase.write_text("a passphrase\n")
    signer = create_keystore(wallet, "a passphrase", scrypt_n=1 << 12)
    chain.fund(signer.address)
    certifier, revoker = Signer.generate(), Signer.generate()
    arguments = (
        "--rpc", chain.url, "--out", out, "--keystore", wallet, "--passphrase", f"file:{passphrase}",
        "--certifier", checksum_address(certifier.address), "--measurement", f"{MEASUREMENT}=tdx:1.0",
        "--trust-class", "intel=UpToDate", "--trust-class", f"{ROOT_SET}=UpToDate",
        "--role", f"revoker={checksum_address(revoker.address)}", "--yes",
    )  # fmt: skip
    done = deploy(*arguments)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED trust class" in done.stdout and "a passphrase" not in done.stdout + done.stderr
    checked = deploy("--rpc", chain.url, "--out", out, "--check")
    assert checked.returncode == 0 and "as the chain says" in checked.stdout, checked.stderr
    again = deploy(*arguments)
    assert again.returncode == 1 and "that exists" in again.stderr
    reader = Reader(chain.rpc, Deployment.load(out))
    assert reader.is_reference(bytes.fromhex(MEASUREMENT[2:]))
    assert reader.is_trust_class(root_set_hash("intel")) and reader.is_trust_class(root_set_hash(ROOT_SET))
    assert not reader.is_trust_class(root_set_hash("amd-genoa"))
    chain.fund(revoker.address)
    with pytest.raises(ContractRefusal, match="AccessManagedUnauthorized"):
        Governors(reader, Writer(reader.node, signer)).revoke_cvm(keccak256(b"cvm"))
    Governors(reader, Writer(reader.node, revoker)).revoke_cvm(keccak256(b"cvm"))
    record = reader.cvm(keccak256(b"cvm"))
    assert record is not None and record.revoked and not record.usable(0)


def test_check_names_what_does_not_fit(chain: DevChain, tmp_path: Path) -> None:
    signer = Signer.generate()
    chain.fund(signer.address)
    plan = MarketPlan(PARAMS, (signer.address,), 1)
    good, other = (deploy_all(chain.rpc, signer, plan) for _ in range(2))
    check_deployment(Reader(chain.rpc, good))
    for member in ("order_book", "provider_registry", "cvm_registry", "certifier_quorum", "authority"):
        mixed = dataclasses.replace(good, **{member: getattr(other, member)})
        with pytest.raises(BadInputError):
            check_deployment(Reader(chain.rpc, mixed))
    with pytest.raises(BadInputError, match="chain id"):
        check_deployment(Reader(chain.rpc, dataclasses.replace(good, chain_id=1)))
    out = tmp_path / "market.json"
    dataclasses.replace(good, authority=other.authority).save(out)
    told = deploy("--rpc", chain.url, "--out", out, "--check")
    assert told.returncode == 1 and "OrderBook's authority: got 0x" in told.stderr


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"threshold": 2}, "threshold"),
        ({"threshold": 0}, "threshold"),
        ({"certifiers": ()}, "threshold"),
        ({"holders": {"king": b"\x01" * 20}}, "roles"),
    ],
)
def test_plans_that_no_chain_takes(change: dict[str, object], word: str) -> None:
    plan = dataclasses.replace(MarketPlan(PARAMS, (b"\x01" * 20,), 1), **change)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=word):
        plan.check(31337)


def test_faucets_and_simulated_classes_stay_on_development_chains() -> None:
    plan = MarketPlan(PARAMS, (b"\x01" * 20,), 1, trust_classes=((ROOT_SET, TcbStatus.UP_TO_DATE),))
    plan.check(31337)
    with pytest.raises(BadInputError, match="token: got none"):
        plan.check(204)
    with_token = dataclasses.replace(plan, token=b"\x02" * 20)
    with pytest.raises(BadInputError, match="SIMULATED"):
        with_token.check(204)
    dataclasses.replace(with_token, accept_simulated=True).check(204)


def test_a_node_that_finds_no_anvil_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.chain.devchain import find_anvil
    from marketplace.errors import NotFoundError

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError) as missing:
        find_anvil(tmp_path)
    assert "npm ci" in missing.value.hint
    assert find_anvil().name == "anvil"


def test_stop_ends_the_process_and_may_be_repeated() -> None:
    chain = DevChain.start()
    before = chain.now()
    snapshot = chain.snapshot()
    assert chain.warp(1000) >= before + 1000
    chain.revert(snapshot)
    assert chain.now() == before
    chain.stop()
    chain.stop()
    assert not Path(f"/proc/{chain.pid}").exists()
