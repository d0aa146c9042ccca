"""Getting tokens to a contract that takes them: balance looked at, allowance or permit (EIP-20, EIP-2612)."""

from __future__ import annotations

from marketplace.chain.reader import Reader
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Sent, Writer
from marketplace.errors import BadInputError

__all__ = ["PERMIT_GOOD_FOR_S", "check_balance", "pay_in", "permit_for", "token_of"]

PERMIT_GOOD_FOR_S = 1800


def token_of(reader: Reader, token: bytes) -> Token:
    """Return a token of the market's chain."""
    return Token(reader.node.rpc, reader.deployment.chain_id, token)


def check_balance(token: Token, account: bytes, amount: int) -> None:
    """Refuse to go on where an account holds less than `amount`.

    Raises:
        BadInputError: it does.
    """
    held = token.balance_of(account)
    if held < amount:
        raise BadInputError(
            "token balance", f"{held} units", f"at least {amount} units", hint="fund the wallet"
        )


def pay_in(
    reader: Reader, writer: Writer, token: bytes, spender: bytes, amount: int, sent: Sent | None = None
) -> None:
    """Make sure that `spender` may take `amount` of the wallet's tokens: approve that much where it may not.

    Raises:
        BadInputError: the wallet holds too little.
        ContractRefusal: the token refuses.
    """
    erc20, wallet = token_of(reader, token), writer.signer.address
    check_balance(erc20, wallet, amount)
    if erc20.allowance(wallet, spender) < amount:
        erc20.approve(writer.sender, spender, amount, sent)


def permit_for(
    reader: Reader, writer: Writer, token: bytes, spender: bytes, amount: int
) -> tuple[int, int, bytes, bytes] | None:
    """Return deadline, v, r and s of a permit, None where the allowance is there already.

    Raises:
        BadInputError: the wallet holds too little, or the token knows no permits.
    """
    erc20, wallet = token_of(reader, token), writer.signer
    check_balance(erc20, wallet.address, amount)
    if erc20.allowance(wallet.address, spender) >= amount:
        return None
    deadline = reader.now() + PERMIT_GOOD_FOR_S
    v, r, s = erc20.permit(wallet, spender, amount, deadline)
    return deadline, v, r, s
