#!/usr/bin/env python3
"""Puts a market on a chain, through ape, and writes deployments/<chain>.json; docs/deploying.md says how.

Before anything is sent, the whole deployment is rehearsed on a private local chain: what it prints as cost
was used there, and the code that it leaves must be the rehearsal's to the byte. Addresses depend on the
deployer and the market's name alone. Who dies half way starts it again; a market that is whole is left as
it is.
Mocks and SIMULATED trust classes reach development chains alone.
"""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-contracts"
if Path(sys.prefix).resolve() != VENV.resolve():
    # ape has an environment of its own; its data stays in this folder.
    os.environ.setdefault("APE_DATA_FOLDER", str(ROOT / ".ape"))
    os.environ["PATH"] = f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), __file__, *sys.argv[1:]])
sys.path.insert(0, str(ROOT))

from enclave_runtime.attestation.model import TeeKind  # noqa: E402
from enclave_runtime.attestation.roots import RootSet  # noqa: E402
from enclave_runtime.wire.codec import bytes_from_hex, hex_of  # noqa: E402
from enclave_runtime.wire.cvm import TeeKind as TeeNumber  # noqa: E402
from enclave_runtime.wire.errors import EnclaveError  # noqa: E402
from enclave_runtime.wire.hashes import keccak256  # noqa: E402
from marketplace.chain.deploy import check_deployment, deployment_of, send_raw  # noqa: E402
from marketplace.chain.deploy_plan import MarketPlan, addresses, steps  # noqa: E402
from marketplace.chain.deploy_rehearsal import rehearse  # noqa: E402
from marketplace.chain.deploy_roles import ROLES  # noqa: E402
from marketplace.chain.deploy_run import (  # noqa: E402
    Cost,
    carry_out,
    check_code,
    code_hashes,
    cost_of,
    has_factory,
    settle,
    todo,
)
from marketplace.chain.deploy_steps import HasCode, Step  # noqa: E402
from marketplace.chain.deployments import Deployment  # noqa: E402
from marketplace.chain.devchain import DEV_CHAIN_IDS  # noqa: E402
from marketplace.chain.reader import Reader  # noqa: E402
from marketplace.chain.rpc import Rpc, hex_int, to_quantity  # noqa: E402
from marketplace.chain.signer import parse_address, read_passphrase  # noqa: E402
from marketplace.domain.pricing import Params  # noqa: E402
from marketplace.domain.tcb import tcb_level  # noqa: E402
from marketplace.errors import BadInputError, MarketError, RpcError  # noqa: E402

NETWORKS = {
    "local": ("", 31337),
    "opbnb-testnet": ("bsc:opbnb-testnet", 5611),
    "opbnb": ("bsc:opbnb", 204),
}
"""Our names: ape's ecosystem and network, and the chain id that a node there must have."""
LOCAL_RPC = "http://127.0.0.1:8545"
GWEI, COIN = 10**9, 10**18


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--network", required=True, choices=sorted(NETWORKS))
    add("--rpc", metavar="URL", help=f"a node of that network; default: ape's own, local: {LOCAL_RPC}")
    add("--out", type=Path, metavar="FILE", help="default: deployments/<network>.json")
    add("--check", action="store_true", help="send nothing; compare FILE with the chain")
    add("--dry-run", action="store_true", help="send nothing; say what would be done, and what it costs")
    add("--yes", action="store_true", help="do not ask")
    who = parser.add_argument_group("who pays and is administrator until the last step")
    who.add_argument("--account", metavar="ALIAS", help="one of ape's accounts")
    who.add_argument("--keystore", type=Path, metavar="FILE", help="a wallet file")
    who.add_argument("--sender", metavar="ADDRESS", help="with --dry-run: an address is enough")
    who.add_argument("--passphrase", default="prompt", metavar="SOURCE", help="file:PATH, env:NAME or prompt")
    add("--market", default="main", metavar="NAME", help="another name makes another market")
    add("--token", metavar="ADDRESS", help="ERC-20 to price in; none deploys an open faucet (local only)")
    add("--treasury", metavar="ADDRESS", help="receiver of fees; default: the deployer")
    add("--fee-bps", type=int, default=250)
    add("--start-penalty-bps", type=int, default=1000)
    add("--min-grace", type=int, default=600, metavar="SECONDS", help="above the chain's finality delay")
    add("--unbonding", type=int, default=7 * 86_400, metavar="SECONDS")
    add("--certifier", action="append", default=[], metavar="ADDRESS", help="repeat for each")
    add("--threshold", type=int, default=1, help="certificates that prove a fact")
    add("--measurement", action="append", default=[], metavar="HEX=TEE:LABEL", help="such as 0x12..=tdx:1.0")
    add("--trust-class", action="append", default=[], metavar="ID=TCB", help="such as intel=UpToDate")
    add("--p256-key", action="append", default=[], metavar="X:Y", help="whose verdicts prove a fact, hex")
    add("--role", action="append", default=[], metavar="NAME=ADDRESS", help=f"holder of {', '.join(ROLES)}")
    add("--no-delays", action="store_true", help="roles act at once, also off development chains")
    return parser


def plan_of(options: argparse.Namespace, deployer: bytes) -> MarketPlan:
    """Return what the command line asks for.

    Raises:
        BadInputError: names the option.
    """
    treasury = parse_address(options.treasury) if options.treasury else deployer
    return MarketPlan(
        params=Params(options.fee_bps, options.start_penalty_bps, options.min_grace, treasury),
        certifiers=tuple(parse_address(text) for text in options.certifier),
        threshold=options.threshold,
        token=parse_address(options.token) if options.token else None,
        unbonding_s=options.unbonding,
        measurements=tuple(measurement(text) for text in options.measurement),
        trust_classes=tuple(
            (RootSet.parse(name).id, tcb_level(word)) for name, word in map(pair, options.trust_class)
        ),
        p256_keys=tuple(point(text) for text in options.p256_key),
        holders={name: parse_address(text) for name, text in map(pair, options.role)},
        delays=False if options.no_delays else None,
        market=options.market,
    )


def pair(text: str) -> tuple[str, str]:
    """Return what stands before and after the equals sign."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise BadInputError("option", repr(text[:80]), "NAME=VALUE")
    return name, value


def measurement(text: str) -> tuple[bytes, TeeNumber, str]:
    """Return measurement, TEE and release label."""
    digest, rest = pair(text)
    tee, _, label = rest.partition(":")
    if tee not in set(TeeKind) or not label:
        raise BadInputError("measurement", repr(rest[:60]), "TEE:LABEL, such as tdx:1.0")
    return bytes_from_hex(digest, 32), TeeKind(tee).wire, label


def point(text: str) -> tuple[bytes, bytes]:
    """Return the coordinates of a P-256 key."""
    x, _, y = text.partition(":")
    return bytes_from_hex(x, 32), bytes_from_hex(y, 32)


class ApeChain:
    """One of ape's accounts on one of its networks; a `deploy_run.Chain`."""

    def __init__(self, provider: Any, account: Any, sender: bytes) -> None:
        """Take a connected provider; the account may be None where nothing is sent."""
        self._provider, self._account = provider, account
        self.sender = sender

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return a result or an `RpcError` for each call."""
        return [self._ask(method, list(params)) for method, params in calls]

    def send(self, step: Step, gas: int) -> int:
        """Sign, send and wait for ape's number of confirmations."""
        from ape.exceptions import ApeException

        if step.raw:
            return send_raw(self, step)
        try:
            made = self._provider.network.ecosystem.create_transaction(
                receiver=hex_of(step.to), data=step.data, value=step.value, gas_limit=gas, type=2
            )
            return int(self._account.call(made).gas_used)
        except ApeException as error:
            raise RpcError(step.words, 0, str(error)) from error

    def _ask(self, method: str, params: list[Any]) -> Any:
        from ape.exceptions import ApeException
        from web3.exceptions import Web3Exception

        try:
            return self._provider.make_request(method, params)
        except (ApeException, Web3Exception, ValueError) as error:
            return RpcError(method, 0, str(error))


def account_of(options: argparse.Namespace) -> tuple[Any, bytes]:
    """Return ape's account, unlocked, and its address.

    Raises:
        BadInputError: none, or one that does not open.
    """
    import ape
    from ape.exceptions import ApeException
    from ape_accounts.accounts import KeyfileAccount

    if options.sender:
        if not options.dry_run:
            raise BadInputError("--sender", "an address", "a wallet, unless with --dry-run")
        return None, parse_address(options.sender)
    if options.keystore:
        account: Any = KeyfileAccount(keyfile_path=options.keystore)
    elif options.account:
        account = ape.accounts.load(options.account)
    else:
        raise BadInputError("--account", "none", "an alias of ape's, or --keystore FILE")
    if not options.dry_run:
        try:
            account.set_autosign(
                True, read_passphrase(options.passphrase, lambda what: getpass.getpass(f"{what}: "))
            )
        except ApeException as error:
            raise BadInputError("wallet", type(error).__name__, "its passphrase") from error
    return account, parse_address(str(account.address))


def refuse_faucet(chain: ApeChain, token: bytes | None, chain_id: int) -> None:
    """Refuse a token that anybody may mint, off development chains.

    Raises:
        BadInputError: a stranger's `mint` would go through, or there is no contract.
    """
    if chain_id in DEV_CHAIN_IDS or token is None:
        return
    stranger = keccak256(b"nobody in particular")[12:]
    mint = keccak256(b"mint(address,uint256)")[:4] + stranger.rjust(32, b"\x00") + (1).to_bytes(32, "big")
    request = {"from": hex_of(stranger), "to": hex_of(token), "data": hex_of(mint)}
    code, minted = chain.batch([HasCode(token).request(), ("eth_call", (request, "latest"))])
    if not HasCode(token).holds(code):
        raise BadInputError("token", f"no code at {hex_of(token)}", "an ERC-20")
    if not isinstance(minted, RpcError):
        raise BadInputError("token", "an open faucet: anybody may mint", "an ERC-20 of some value")


def first_block(chain: ApeChain, journal: Path) -> int:
    """Return the block at which this deployment began, also for one that died since."""
    if journal.exists():
        return int(json.loads(journal.read_text())["block"])
    (block,) = chain.batch([("eth_blockNumber", ())])
    return hex_int(block)


def found_at(chain: ApeChain, address: bytes) -> int:
    """Return the last block without code at `address`: for a deployment whose file was lost.

    A node that has thrown old state away cannot say; then reading begins at block 0.
    """
    (newest,) = chain.batch([("eth_blockNumber", ())])
    low, high = 0, hex_int(newest)
    while low < high:
        middle = (low + high + 1) // 2
        (code,) = chain.batch([("eth_getCode", (hex_of(address), to_quantity(middle)))])
        if isinstance(code, RpcError):
            print("this node has no old state: the file says block 0, and first reading is slow")
            return 0
        low, high = (low, middle - 1) if HasCode(address).holds(code) else (middle, high)
    return low


def say(chain_id: int, plan: MarketPlan, sender: bytes, cost: Cost, balance: int) -> None:
    """Print what would be done, and what it costs."""
    token = hex_of(plan.token) if plan.token else "an open faucet, TestToken"
    print(f"chain {chain_id}, market {plan.market!r}, deployer {hex_of(sender)}, token {token}")
    print(f"fee {plan.params.fee_bps} bps, {plan.threshold} of {len(plan.certifiers)} certifiers")
    print(f"{len(plan.measurements)} measurements, classes {[name for name, _ in plan.trust_classes]}")
    for role in ROLES:
        delay = plan.delay_of(role, chain_id)
        print(f"role {role}: {hex_of(plan.holder(role, sender))}, {delay} s delay")
    print(
        f"cost: {cost.steps} transactions, {cost.gas:,} gas at up to {cost.price / GWEI:.6f} gwei"
        f" + {cost.data / COIN:.9f} for data + {cost.value / COIN} = {cost.wei / COIN:.9f}"
    )
    print(f"balance: {balance / COIN:.9f}")


def deploy(options: argparse.Namespace, chain: ApeChain, chain_id: int, out: Path) -> int:
    """Rehearse, say, ask, carry out, verify, write."""
    plan, sender = plan_of(options, chain.sender), chain.sender
    plan.check(chain_id)
    refuse_faucet(chain, plan.token, chain_id)
    settle(chain)
    planned = steps(plan, sender, chain_id, factory=has_factory(chain))
    at = addresses(plan, sender)
    rehearsal = rehearse(planned, at, sender, chain_id)
    there = code_hashes(chain, at)
    check_code(there, rehearsal.code)
    if out.exists():
        return unchanged(chain, plan, chain_id, out)
    due = [step for step, is_due in zip(planned, todo(chain, planned), strict=True) if is_due]
    cost = cost_of(chain, planned, rehearsal.gas)
    (funds,) = chain.batch([("eth_getBalance", (hex_of(sender), "latest"))])
    say(chain_id, plan, sender, cost, hex_int(funds))
    if options.dry_run:
        for step in due:
            print(f"would: {step.words} ({rehearsal.gas.get(step.words, 0)} gas)")
        print("nothing was sent")
        return 0
    if hex_int(funds) < cost.wei:
        raise BadInputError("balance", hex_int(funds), f"at least {cost.wei} wei")
    if due and not (options.yes or input("deploy? [y/N] ").strip().lower() == "y"):
        print("nothing was sent")
        return 1
    journal = out.with_suffix(".partial.json")
    if due:
        block = first_block(chain, journal)
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text(json.dumps({"block": block}))
    else:
        block = first_block(chain, journal) if journal.exists() else found_at(chain, at["Authority"])
    carry_out(chain, planned, rehearsal.gas, print)
    check_code(code_hashes(chain, at), rehearsal.code)
    deployment_of(chain, plan, chain_id, block).save(out)
    journal.unlink(missing_ok=True)
    print(f"code as rehearsed, {len(at)} contracts; wrote {out}")
    return 0


def unchanged(chain: ApeChain, plan: MarketPlan, chain_id: int, out: Path) -> int:
    """Say that the market of this file stands as these inputs make it.

    Raises:
        BadInputError: the file is another market's.
    """
    known = Deployment.load(out)
    if deployment_of(chain, plan, chain_id, known.block) != known:
        raise BadInputError("--out", f"{out} of another market", "a new file, or this market's inputs")
    print(f"nothing to do: the market of {out} stands, and its code is what these inputs make")
    return 0


def main() -> int:
    """Run the script; returns the exit status."""
    import ape
    from ape.logging import logger

    options = arguments().parse_args()
    logger.set_level(logging.ERROR)
    known, expected = NETWORKS[options.network]
    rpc = options.rpc or (LOCAL_RPC if not known else "")
    choice = (f"{known}:{rpc}" if rpc else f"{known}:node") if known else rpc
    out = options.out or ROOT / "deployments" / f"{options.network}.json"
    try:
        with ape.networks.parse_network_choice(choice) as provider:
            chain_id = provider.chain_id
            if chain_id != expected:
                raise BadInputError("chain id of the node", chain_id, f"{expected}, {options.network}'s")
            if options.check:
                check_deployment(Reader(Rpc(rpc or provider.uri), Deployment.load(out)))
                print(f"{out}: as the chain says")
                return 0
            account, sender = account_of(options)
            return deploy(options, ApeChain(provider, account, sender), chain_id, out)
    except (MarketError, EnclaveError) as error:
        hint = getattr(error, "hint", "")
        print(f"deploy: {error}" + (f" ({hint})" if hint else ""), file=sys.stderr)
        return 1
    except ape.exceptions.ApeException as error:
        print(f"deploy: {type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
