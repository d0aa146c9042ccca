"""Where the contracts of one market stand: a small JSON file that every party holds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.cvm import certifier_quorum_domain, cvm_registry_domain
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import order_book_domain
from marketplace.errors import BadInputError, NotFoundError

__all__ = ["Built", "Deployment"]

MAX_FILE_BYTES: Final = 64 << 10
_VERSION: Final = 2
_NUMBERS: Final = ("chain_id", "block")
_BUILT: Final = "built"


@dataclass(frozen=True, slots=True)
class Built:
    """How a deployment came to be, so that anybody can make its addresses and compare its code.

    Attributes:
        market: name in the salts of its addresses.
        deployer: account in the salts of its addresses.
        code: per contract its name, its address and the hash of its code, in order of creation.
    """

    market: str
    deployer: bytes
    code: tuple[tuple[str, bytes, bytes], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the members as JSON."""
        code = {
            name: {"address": hex_of(address), "code_hash": hex_of(digest)}
            for name, address, digest in self.code
        }
        return {"market": self.market, "deployer": hex_of(self.deployer), "code": code}

    @classmethod
    def from_json(cls, value: object) -> Built:
        """Return what `to_json` gave.

        Raises:
            BadInputError: missing or unknown members, or malformed ones.
        """
        try:
            if not isinstance(value, dict) or set(value) != {"market", "deployer", "code"}:
                raise TypeError("its members")
            code = [
                (str(name), bytes_from_hex(item["address"], 20), bytes_from_hex(item["code_hash"], 32))
                for name, item in value["code"].items()
            ]
            return cls(str(value["market"]), bytes_from_hex(value["deployer"], 20), tuple(code))
        except (AttributeError, KeyError, TypeError, WireError) as error:
            raise BadInputError(
                "deployment, built", str(error)[:100], "market, deployer and code by contract"
            ) from error


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses, 20 bytes each, on the chain `chain_id`.

    Attributes:
        block: number of the block before the first contract: where reading events starts.
        authority: OpenZeppelin AccessManager that holds the roles.
        token: the token that this market's own offers are priced in, by default.
        built: how it was made; None where whoever wrote the file did not say.
    """

    chain_id: int
    block: int
    authority: bytes
    offer_registry: bytes
    provider_registry: bytes
    cvm_registry: bytes
    reference_values: bytes
    certifier_quorum: bytes
    order_book: bytes
    lease_book: bytes
    token: bytes
    built: Built | None = None

    @property
    def order_domain(self) -> Domain:
        """Return the EIP-712 domain of order ids, starts, summaries and stops."""
        return order_book_domain(self.chain_id, self.order_book)

    @property
    def possession_domain(self) -> Domain:
        """Return the EIP-712 domain of proofs of possession."""
        return cvm_registry_domain(self.chain_id, self.cvm_registry)

    @property
    def certificate_domain(self) -> Domain:
        """Return the EIP-712 domain of certificates."""
        return certifier_quorum_domain(self.chain_id, self.certifier_quorum)

    def to_json(self) -> dict[str, Any]:
        """Return the members as JSON: numbers as numbers, addresses as 0x-hex."""
        members = {name: getattr(self, name) for name in _names()}
        plain = {name: value if name in _NUMBERS else hex_of(value) for name, value in members.items()}
        built = {} if self.built is None else {_BUILT: self.built.to_json()}
        return {"version": _VERSION} | plain | built

    @classmethod
    def from_json(cls, value: object) -> Deployment:
        """Return the deployment that `value` describes.

        Raises:
            BadInputError: missing or unknown members, or malformed ones.
        """
        names = _names()
        if not isinstance(value, dict) or set(value) - {_BUILT} != {*names, "version"}:
            got = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise BadInputError("deployment", str(got)[:300], sorted({*names, "version"}))
        if value["version"] != _VERSION:
            raise BadInputError("deployment version", value["version"], _VERSION)
        members: dict[str, Any] = {}
        for name in names:
            if name in _NUMBERS:
                if type(value[name]) is not int or value[name] < 0:
                    raise BadInputError(f"deployment, {name}", repr(value[name])[:40], "a whole number")
                members[name] = value[name]
                continue
            try:
                members[name] = bytes_from_hex(value[name], 20)
            except WireError as error:
                raise BadInputError(f"deployment, {name}", str(error), "an address in lower case") from error
        built = Built.from_json(value[_BUILT]) if _BUILT in value else None
        return cls(**members, built=built)

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Return the deployment in a file.

        Raises:
            NotFoundError: no such file.
            BadInputError: as `from_json`, oversize, or not JSON.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise BadInputError("deployment", f"more than {MAX_FILE_BYTES} bytes", "a deployment file")
            return cls.from_json(json.loads(path.read_text()))
        except OSError as error:
            raise NotFoundError(
                f"deployment: cannot read {path}: {error.strerror}",
                hint="name the market's deployment file, or deploy with scripts/deploy.py",
            ) from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BadInputError("deployment", f"{path.name} that is not JSON", "a deployment file") from error

    def save(self, path: Path) -> None:
        """Write the deployment to `path`, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.to_json(), indent=2) + "\n")
        temporary.replace(path)


def _names() -> list[str]:
    """Return the members that every deployment file has, in order."""
    return [item.name for item in fields(Deployment) if item.name != _BUILT]
