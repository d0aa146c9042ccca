"""ERC-20 tokens: what they are called, who holds what, and permits (EIP-20, EIP-2612)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.scalars import U256, Address
from marketplace.chain.artifacts import contract
from marketplace.chain.refusals import ContractRefusal, refusal_from
from marketplace.chain.rpc import Rpc, hex_data
from marketplace.chain.signer import Signer
from marketplace.chain.writer import Receipt, Sender, Sent
from marketplace.errors import BadInputError, ChainError, RpcError

__all__ = ["Permit", "Token", "TokenInfo"]


@dataclass(frozen=True, slots=True)
class Permit:
    """The struct that an owner signs (EIP-2612); one declaration gives type string and encoding."""

    owner: Address
    spender: Address
    value: U256
    nonce: U256
    deadline: U256


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token in words."""

    address: bytes
    name: str
    symbol: str
    decimals: int


class Token:
    """One ERC-20 token. TestToken's interface is ERC-20 with permit, and its own faucet."""

    def __init__(self, rpc: Rpc, chain_id: int, address: bytes) -> None:
        """Take a connection; asks nothing yet."""
        self._rpc = rpc
        self._chain_id = chain_id
        self.address = address

    def info(self) -> TokenInfo:
        """Return name, symbol and decimals.

        Raises:
            BadInputError: there is no such token.
        """
        try:
            name, symbol, decimals = (self._view(item) for item in ("name", "symbol", "decimals"))
        except (ChainError, ValueError) as error:
            raise BadInputError("token", hex_of(self.address), "an ERC-20 token on this chain") from error
        return TokenInfo(self.address, name, symbol, decimals)

    def balance_of(self, account: bytes) -> int:
        """Return what an account holds, in the smallest unit."""
        balance: int = self._view("balanceOf", account)
        return balance

    def allowance(self, owner: bytes, spender: bytes) -> int:
        """Return what `spender` may take from `owner`."""
        allowed: int = self._view("allowance", owner, spender)
        return allowed

    def permit(self, signer: Signer, spender: bytes, amount: int, deadline: int) -> tuple[int, bytes, bytes]:
        """Return v, r, s of a permit for `spender` over `amount`.

        Args:
            deadline: Unix time, in seconds, until which it may be used.
        Raises:
            BadInputError: the token knows no permits, or signs under a domain of another form.
        """
        try:
            nonce, separator = self._view("nonces", signer.address), self._view("DOMAIN_SEPARATOR")
            name = self._view("name")
        except (ContractRefusal, ValueError) as error:
            raise BadInputError(
                "token", f"{hex_of(self.address)} without permits", "EIP-2612", hint="use an approval"
            ) from error
        domain = next(
            (
                domain
                for version in ("1", "2")
                if (domain := Domain(name, version, self._chain_id, self.address)).separator() == separator
            ),
            None,
        )
        if domain is None:
            raise BadInputError("token's permit domain", separator.hex(), "name, version, chain and address")
        digest = typed_digest(domain, Permit(signer.address, spender, amount, nonce, deadline))
        signature = signer.sign_digest(digest)
        return signature[64], signature[:32], signature[32:64]

    def approve(self, sender: Sender, spender: bytes, amount: int, sent: Sent | None = None) -> Receipt:
        """Let `spender` take `amount` from the sender."""
        return self._send(sender, "approve", spender, amount, sent=sent)

    def transfer(self, sender: Sender, to: bytes, amount: int, sent: Sent | None = None) -> Receipt:
        """Send `amount` to `to`."""
        return self._send(sender, "transfer", to, amount, sent=sent)

    def mint(self, sender: Sender, to: bytes, amount: int, sent: Sent | None = None) -> Receipt:
        """Draw `amount` from a development token's faucet."""
        return self._send(sender, "mint", to, amount, sent=sent)

    def _send(self, sender: Sender, function: str, *arguments: Any, sent: Sent | None) -> Receipt:
        data = contract("TestToken").functions[function].call(*arguments)
        return sender.send(self.address, data, call=f"token.{function}", sent=sent)

    def _view(self, function: str, *arguments: Any) -> Any:
        entry = contract("TestToken").functions[function]
        request = {"to": hex_of(self.address), "data": hex_of(entry.call(*arguments))}
        try:
            return entry.returned(hex_data(self._rpc.call("eth_call", request, "latest")))
        except RpcError as error:
            raise refusal_from(error, call=f"token.{function}") from error
