"""scripts/deploy.py through ape, on a local chain with opBNB's chain id, gas limit and block time."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.deploy import MarketPlan, check_deployment, deploy_all
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DevChain
from marketplace.chain.governors import Governors
from marketplace.chain.reader import Reader
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.rpc import hex_data, hex_int
from marketplace.chain.signer import Signer, checksum_address, create_keystore
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Sender, Writer
from marketplace.domain.pricing import Params
from marketplace.errors import BadInputError

pytestmark = [pytest.mark.contracts, pytest.mark.integration]
ROOT = Path(__file__).resolve().parents[3]
MEASUREMENT = "0x" + "ab" * 32
SIMULATED = "dev:" + "5a" * 32
OPBNB_TESTNET = 5611
# PUSH0 PUSH0 REVERT, and before it the code that returns it: a token that lets nobody mint.
NO_FAUCET = bytes.fromhex("6003600c60003960036000f3" + "5f5ffd")


@dataclasses.dataclass
class Place:
    """A chain, a wallet with coin, and the command line that deploys there."""

    chain: DevChain
    signer: Signer
    folder: Path
    network: str

    @property
    def out(self) -> Path:
        return self.folder / "market.json"

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, str(ROOT / "scripts" / "deploy.py"), "--network", self.network,
            "--rpc", self.chain.url, "--out", str(self.out), *arguments,
        ]  # fmt: skip

    def wallet(self) -> list[str]:
        return [
            "--keystore", str(self.folder / "wallet.json"),
            "--passphrase", f"file:{self.folder / 'pass'}",
            "--certifier", checksum_address(b"\x01" * 20),
        ]  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=200, check=False,
            stdin=subprocess.DEVNULL, env=self.environment(),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return os.environ | {"APE_DATA_FOLDER": str(self.folder / "ape"), "PYTHONUNBUFFERED": "1"}

    def nonce(self) -> int:
        account = "0x" + self.signer.address.hex()
        return hex_int(self.chain.rpc.call("eth_getTransactionCount", account, "latest"))


def place(folder: Path, network: str, chain: DevChain) -> Place:
    (folder / "pass").write_text("a passphrase\n")
    signer = create_keystore(folder / "wallet.json", "a passphrase", scrypt_n=1 << 12)
    chain.fund(signer.address, 10**18)
    return Place(chain, signer, folder, network)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    with DevChain.start() as chain:
        yield place(tmp_path, "local", chain)


@pytest.fixture(scope="module")
def opbnb_chain() -> Iterator[DevChain]:
    extra = ("--gas-limit", "100000000", "--hardfork", "cancun")
    with DevChain.start(chain_id=OPBNB_TESTNET, block_time_s=0.25, extra=extra) as chain:
        yield chain


@pytest.fixture
def opbnb(tmp_path: Path, opbnb_chain: DevChain) -> Place:
    return place(tmp_path, "opbnb-testnet", opbnb_chain)


def token_on(where: Place) -> str:
    sender = Sender(where.chain.rpc, where.chain.chain_id, where.signer)
    return checksum_address(sender.send(b"", NO_FAUCET).created)


def test_a_market_by_the_shortest_way(local: Place) -> None:
    revoker = Signer.generate()
    arguments = (
        *local.wallet(), "--measurement", f"{MEASUREMENT}=tdx:1.0", "--trust-class", f"{SIMULATED}=UpToDate",
        "--role", f"revoker={checksum_address(revoker.address)}",
    )  # fmt: skip
    dry = local.run(*arguments, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would: create OrderBook" in dry.stdout and "nothing was sent" in dry.stdout
    assert "cost: " in dry.stdout and local.nonce() == 0 and not local.out.exists()
    asked = local.run(*arguments)  # nobody answers
    assert asked.returncode != 0 and local.nonce() == 0
    done = local.run(*arguments, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("cost: ") < done.stdout.index("done: "), "the cost comes first"
    assert "SIMULATED dev:" in done.stdout and "a passphrase" not in done.stdout + done.stderr
    checked = local.run("--check")
    assert checked.returncode == 0 and "as the chain says" in checked.stdout, checked.stderr
    sent = local.nonce()
    again = local.run(*arguments, "--yes")
    assert again.returncode == 0 and "nothing to do" in again.stdout, again.stderr
    other = local.run(*arguments, "--unbonding", "9", "--yes")
    assert other.returncode == 1 and "code of ProviderRegistry: got 0x" in other.stderr
    assert local.nonce() == sent
    lost = Deployment.load(local.out)
    local.out.unlink()
    found = local.run(*arguments, "--yes")
    assert found.returncode == 0 and local.nonce() == sent, found.stderr
    back = Deployment.load(local.out)
    assert dataclasses.replace(back, block=lost.block) == lost
    before = lost.block, back.block
    code = [
        hex_data(local.chain.rpc.call("eth_getCode", "0x" + lost.authority.hex(), hex(n))) for n in before
    ]
    assert code == [b"", b""], "events are read from before the first contract"
    reader = Reader(local.chain.rpc, lost)
    local.chain.fund(revoker.address)
    with pytest.raises(ContractRefusal, match="AccessManagedUnauthorized"):
        Governors(reader, Writer(reader.node, local.signer)).revoke_cvm(keccak256(b"cvm"))
    Governors(reader, Writer(reader.node, revoker)).revoke_cvm(keccak256(b"cvm"))


def test_killed_at_any_time_it_goes_on_where_it_stopped(opbnb: Place) -> None:
    command = opbnb.command(*opbnb.wallet(), "--token", token_on(opbnb), "--market", "killed", "--yes")
    began = opbnb.nonce()
    said = []
    for lines in (1, 6, 5):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=opbnb.environment()
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                said.append(line)
                if line.startswith("done: "):
                    lines -= 1
                    if not lines:
                        process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL and not opbnb.out.exists()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env=opbnb.environment()
    )
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith(("done: ", "there already: "))]
    assert opbnb.nonce() - began == len(steps), "each transaction was sent once"
    assert not opbnb.out.with_suffix(".partial.json").exists()
    deployment = Deployment.load(opbnb.out)
    assert deployment.chain_id == OPBNB_TESTNET
    check_deployment(Reader(opbnb.chain.rpc, deployment))


def test_what_a_real_chain_refuses(opbnb: Place) -> None:
    faucet = Sender(opbnb.chain.rpc, OPBNB_TESTNET, opbnb.signer)
    began = opbnb.nonce()
    cases = {
        "token: got none, which deploys TestToken": [],
        "no code at": ["--token", checksum_address(b"\x09" * 20)],
        "SIMULATED dev:": ["--token", token_on(opbnb), "--trust-class", f"{SIMULATED}=UpToDate"],
        "threshold": ["--token", token_on(opbnb), "--threshold", "2"],
    }
    created = opbnb.nonce() - began
    for words, arguments in cases.items():
        done = opbnb.run(*opbnb.wallet(), *arguments, "--yes")
        assert done.returncode == 1 and words in done.stderr, (words, done.stderr)
    assert faucet.rpc is opbnb.chain.rpc and opbnb.nonce() - began == created, "nothing was sent"
    wrong = dataclasses.replace(opbnb, network="opbnb").run(*opbnb.wallet(), "--yes")
    assert wrong.returncode == 1 and "5611" in wrong.stderr and "204" in wrong.stderr


def test_an_open_faucet_is_no_token_for_a_real_chain(opbnb: Place) -> None:
    from marketplace.chain.artifacts import contract

    sender = Sender(opbnb.chain.rpc, OPBNB_TESTNET, opbnb.signer)
    faucet = sender.send(b"", contract("TestToken").creation("Test", "T", 6)).created
    Token(opbnb.chain.rpc, OPBNB_TESTNET, faucet).mint(sender, opbnb.signer.address, 1)
    done = opbnb.run(*opbnb.wallet(), "--token", checksum_address(faucet), "--yes")
    assert done.returncode == 1 and "an open faucet: anybody may mint" in done.stderr


def test_a_poor_wallet_is_told_so_before_anything_is_sent(opbnb: Place) -> None:
    token = token_on(opbnb)
    opbnb.chain.fund(opbnb.signer.address, 10**6)
    began = opbnb.nonce()
    done = opbnb.run(*opbnb.wallet(), "--token", token, "--yes")
    assert done.returncode == 1 and "balance: got 1000000, expected at least" in done.stderr
    assert opbnb.nonce() == began


def test_check_names_what_does_not_fit(local: Place) -> None:
    chain, signer = local.chain, local.signer
    plan = MarketPlan(Params(250, 1000, 60, b"\xfe" * 20), (signer.address,), 1)
    good, other = (
        deploy_all(chain.rpc, signer, dataclasses.replace(plan, market=name)) for name in ("one", "two")
    )
    check_deployment(Reader(chain.rpc, good))
    for member in ("order_book", "provider_registry", "cvm_registry", "certifier_quorum", "authority"):
        mixed = dataclasses.replace(good, **{member: getattr(other, member)})
        with pytest.raises(BadInputError):
            check_deployment(Reader(chain.rpc, mixed))
    with pytest.raises(BadInputError, match="chain id"):
        check_deployment(Reader(chain.rpc, dataclasses.replace(good, chain_id=1)))
    assert good.built is not None
    name, address, _ = good.built.code[0]
    painted = dataclasses.replace(good.built, code=((name, address, b"\x00" * 32), *good.built.code[1:]))
    with pytest.raises(BadInputError, match=f"code of {name}"):
        check_deployment(Reader(chain.rpc, dataclasses.replace(good, built=painted)))
    dataclasses.replace(good, authority=other.authority).save(local.out)
    told = local.run("--check")
    assert told.returncode == 1 and "OrderBook's authority: got 0x" in told.stderr
