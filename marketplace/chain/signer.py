"""Who signs: an Ethereum key, from an encrypted keystore file or, in tests, from memory.

Keystore files are the Web3 Secret Storage V3 that every wallet reads. A passphrase comes from a file, a
prompt or a named environment variable, as the caller says; neither it nor a key is ever logged or shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from enclave_runtime.wire.eip712 import Domain, typed_digest
from marketplace.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from coincurve import PrivateKey

__all__ = [
    "Signer",
    "checksum_address",
    "create_keystore",
    "keystore_address",
    "parse_address",
    "read_passphrase",
]

MAX_KEYSTORE_BYTES: Final = 64 << 10
MAX_PASSPHRASE_BYTES: Final = 4096
SCRYPT_N: Final = 1 << 18
"""What wallets use: about a second and 256 MB to open a keystore."""


class Signer:
    """An address and the power to sign for it. Shows its address only."""

    __slots__ = ("_key", "address")

    def __init__(self, key: PrivateKey) -> None:
        """Take a secp256k1 key."""
        from enclave_runtime.wire.signatures import address_of

        self._key = key
        self.address: bytes = address_of(key)

    @classmethod
    def from_key(cls, secret: bytes) -> Signer:
        """Return the signer for a raw 32-byte key.

        Raises:
            BadInputError: not a key.
        """
        from coincurve import PrivateKey

        try:
            if len(secret) != 32:
                raise ValueError
            return cls(PrivateKey(secret))
        except ValueError:
            # `from None`: the library's message might show the bytes.
            raise BadInputError("key", "bytes that are no secp256k1 key", "32 bytes") from None

    @classmethod
    def generate(cls) -> Signer:
        """Return a signer with a fresh key from the system's entropy."""
        return cls.from_key(os.urandom(32))

    @classmethod
    def from_keystore(cls, path: Path, passphrase: str) -> Signer:
        """Return the signer whose key lies encrypted in `path`.

        Raises:
            NotFoundError: no such file.
            BadInputError: no keystore, or another passphrase.
        """
        from eth_account import Account

        record = _read_keystore(path)
        try:
            secret = bytes(Account.decrypt(record, passphrase))
        except (ValueError, TypeError, KeyError):
            raise BadInputError(
                "keystore", f"{path.name} that does not open", "the passphrase that it was made with"
            ) from None
        return cls.from_key(secret)

    def __repr__(self) -> str:
        """Return the address; never the key."""
        return f"Signer({checksum_address(self.address)})"

    def __reduce__(self) -> Any:
        """Refuse pickling: a key does not travel."""
        raise TypeError("a signer cannot be pickled")

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r || s || v over a 32-byte digest, low s."""
        from enclave_runtime.wire.signatures import secp256k1_sign

        return secp256k1_sign(self._key, digest)

    def sign_typed(self, domain: Domain, struct: Any) -> bytes:
        """Return the EIP-712 signature over `struct` under `domain`."""
        return self.sign_digest(typed_digest(domain, struct))

    def write_keystore(self, path: Path, passphrase: str, *, scrypt_n: int = SCRYPT_N) -> None:
        """Write the key, encrypted, to a new file that only its owner reads.

        Args:
            scrypt_n: work to open it, a power of two; less than the default is for development chains.
        Raises:
            BadInputError: the file exists, or the passphrase is empty.
        """
        from eth_account import Account

        if not passphrase:
            raise BadInputError("passphrase", "an empty one", "at least one character")
        record = Account.encrypt(self._key.secret, passphrase, kdf="scrypt", iterations=scrypt_n)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise BadInputError(
                "keystore", f"{path} that exists", "a new file: keys are not overwritten"
            ) from None
        with os.fdopen(descriptor, "w") as file:
            json.dump(record, file)


def create_keystore(path: Path, passphrase: str, *, scrypt_n: int = SCRYPT_N) -> Signer:
    """Return a fresh signer whose key was written, encrypted, to the new file `path`.

    Args:
        scrypt_n: as `Signer.write_keystore` has it.
    Raises:
        BadInputError: the file exists, or the passphrase is empty.
    """
    signer = Signer.generate()
    signer.write_keystore(path, passphrase, scrypt_n=scrypt_n)
    return signer


def keystore_address(path: Path) -> bytes:
    """Return the address that a keystore file says it is for, without its passphrase.

    Raises:
        NotFoundError: no such file.
        BadInputError: no keystore, or one without an address.
    """
    return parse_address("0x" + str(_read_keystore(path).get("address", "")).removeprefix("0x"))


def read_passphrase(source: str, prompt: Callable[[str], str] | None = None) -> str:
    """Return a passphrase from where the caller says.

    Args:
        source: "file:PATH" (first line), "env:NAME", or "prompt".
        prompt: asks a person, without echo; needed for "prompt" only.
    Raises:
        NotFoundError: no such file or variable.
        BadInputError: another form of source, an empty or oversize passphrase, or nobody to ask.
    """
    kind, _, name = source.partition(":")
    if kind == "file" and name:
        text = _first_line(Path(name))
    elif kind == "env" and name:
        if name not in os.environ:
            raise NotFoundError(f"passphrase: no environment variable {name}")
        text = os.environ[name]
    elif source == "prompt" and prompt is not None:
        text = prompt("passphrase")
    else:
        raise BadInputError(
            "passphrase source", source.split(":", 1)[0][:20], "file:PATH, env:NAME or prompt"
        )
    if not 0 < len(text.encode()) <= MAX_PASSPHRASE_BYTES:
        raise BadInputError("passphrase", "an empty or oversize one", f"1 to {MAX_PASSPHRASE_BYTES} bytes")
    return text


def parse_address(text: str) -> bytes:
    """Return the 20 bytes of an address as people write it.

    Raises:
        BadInputError: no address, or mixed case that is not its checksum.
    """
    body = text.strip()
    try:
        raw = bytes.fromhex(body.removeprefix("0x")) if body.startswith("0x") else b""
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise BadInputError("address", repr(text[:50]), "0x and 40 hex digits")
    digits = body[2:]
    if digits not in (digits.lower(), digits.upper()) and body != checksum_address(raw):
        raise BadInputError(
            "address", body, checksum_address(raw), hint="its checksum is wrong: a typing mistake?"
        )
    return raw


def checksum_address(address: bytes) -> str:
    """Return an address with its checksum in the case of its letters (EIP-55)."""
    from enclave_runtime.wire.hashes import keccak256

    digits = address.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) > 7 else digit for digit, nibble in zip(digits, digest, strict=False)
    )


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PASSPHRASE_BYTES + 2)
        return data.decode().split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise NotFoundError(f"passphrase: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInputError("passphrase", f"{path} that is not UTF-8", "text") from None


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_KEYSTORE_BYTES:
            raise BadInputError(
                "keystore", f"{path.name} of more than {MAX_KEYSTORE_BYTES} bytes", "a keystore"
            )
        record = json.loads(path.read_text())
    except OSError as error:
        raise NotFoundError(f"keystore: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInputError("keystore", f"{path.name} that is not JSON", "a keystore, version 3") from error
    if not isinstance(record, dict) or record.get("version") != 3:
        raise BadInputError("keystore", f"{path.name} of another version", "a keystore, version 3")
    return record
