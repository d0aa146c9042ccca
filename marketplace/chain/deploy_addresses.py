"""Where a market's contracts will stand, known before any of them exists (docs/adr/0016).

Three steps, each the same on every chain: the CREATE2 factory that most chains have, made by nobody's key;
our `Deployer`, whose address follows from its code alone; and each contract, whose address follows from the
account that deploys, the market's name and the contract's name.
"""

from __future__ import annotations

from typing import Final

from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.artifacts import contract

__all__ = [
    "CREATE2_FACTORY",
    "FACTORY_CODE_HASH",
    "FACTORY_COST_WEI",
    "FACTORY_SIGNER",
    "FACTORY_TRANSACTION",
    "contract_salt",
    "created_address",
    "deployer_address",
    "deployer_creation",
]

CREATE2_FACTORY: Final = bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c")
"""Takes salt || creation code as calldata, creates, returns the address. Anvil and most chains have it."""
FACTORY_CODE_HASH: Final = bytes.fromhex("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989")
FACTORY_SIGNER: Final = bytes.fromhex("3fab184622dc19b6109349b94811493bf2a45362")
"""Whom the transaction below recovers to: its signature was made up, so nobody has the key."""
FACTORY_COST_WEI: Final = 10**16
"""What the transaction below spends at most: 100,000 gas at 100 gwei."""
FACTORY_TRANSACTION: Final = bytes.fromhex(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba0"
    "2222222222222222222222222222222222222222222222222222222222222222a022222222222222222222222222222222222222"
    "22222222222222222222222222"
)
"""Creates the factory on any chain that takes transactions without a chain id."""
_SHIM: Final = bytes.fromhex("74363d3d37363d34f06014573d6000803e3d6000fd5b3d526015600bf3")
"""As in contracts/Deployer.sol; the tests compare."""
_DEPLOYER_SALT: Final = bytes(32)


def deployer_creation() -> bytes:
    """Return what the CREATE2 factory takes to create our `Deployer`."""
    return _DEPLOYER_SALT + contract("Deployer").creation()


def deployer_address() -> bytes:
    """Return where `Deployer` stands, on every chain."""
    return _create2(CREATE2_FACTORY, _DEPLOYER_SALT, keccak256(contract("Deployer").creation()))


def contract_salt(market: str, name: str) -> bytes:
    """Return the salt of the contract called `name` in the market called `market`."""
    return keccak256(f"cloister/{market}/{name}".encode())


def created_address(sender: bytes, salt: bytes) -> bytes:
    """Return where `Deployer.deploy(salt, ...)` by `sender` puts a contract, whatever its code."""
    own = keccak256(sender.rjust(32, b"\x00") + salt)
    creator = _create2(deployer_address(), own, keccak256(_SHIM))
    # RLP of [creator, 1]: the address of the first contract that the creator makes.
    return keccak256(b"\xd6\x94" + creator + b"\x01")[12:]


def _create2(creator: bytes, salt: bytes, code_hash: bytes) -> bytes:
    return keccak256(b"\xff" + creator + salt + code_hash)[12:]
