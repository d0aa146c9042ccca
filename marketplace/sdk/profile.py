"""Who is acting: a profile from a home folder, and what it opens on demand (keys, chain, store).

A home is `--home`, else CLOISTER_HOME, else `cloister` in the user's XDG configuration folder. Profiles are
plain values; a `Session` opens files and connections when they are first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk.settings import ConfigTable, Owner, Provider, Trust, config_text
from marketplace.sdk.storage_settings import Storage
from marketplace.service.settings import load

if TYPE_CHECKING:
    from enclave_runtime.attestation.model import Evidence
    from marketplace.chain.deployments import Deployment
    from marketplace.chain.reader import Reader
    from marketplace.chain.signer import Signer
    from marketplace.chain.tokens import Token
    from marketplace.chain.writer import Writer
    from marketplace.sdk.verify import TrustAnchor
    from marketplace.sealing.keystore import KeyStore
    from marketplace.storage.stores import Stores

__all__ = ["CONFIG_NAME", "Profile", "Session", "default_home"]

CONFIG_NAME: Final = "config.toml"


def default_home() -> Path:
    """Return CLOISTER_HOME, or `cloister` in the user's configuration folder."""
    named = os.environ.get("CLOISTER_HOME")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "cloister"


@dataclass(frozen=True, slots=True)
class Profile:
    """One party's settings; see `marketplace.sdk.settings` for the file.

    Attributes:
        home: folder of the settings file; orders that were placed are kept in `<home>/orders`.
        rpc: URLs of chain nodes, the one to use first.
    """

    home: Path
    rpc: tuple[str, ...]
    deployment: Path
    key: Path
    passphrase: Path | None
    store: Path
    content_keys: Path
    trust: Trust = field(default_factory=Trust)
    owner: Owner = field(default_factory=Owner)
    provider: Provider = field(default_factory=Provider)
    storage: Storage = field(default_factory=Storage)

    @classmethod
    def load(cls, home: Path | None = None) -> Profile:
        """Return the profile in `home`, by default `default_home()`.

        Raises:
            NotFoundError: there is none.
            BadInputError: names the member, what it is and what it must be.
        """
        place = default_home() if home is None else home
        path = place / CONFIG_NAME
        if not path.is_file():
            raise NotFoundError(
                f"no profile at {path}", hint="make one with `cloister init`, or name another with --home"
            )
        table = ConfigTable.of(load(path))
        rpc = table.texts("rpc")
        if not rpc:
            raise BadInputError("rpc", "an empty list", "at least one node's URL")
        profile = cls(
            home=place,
            rpc=rpc,
            deployment=table.path("deployment"),
            key=table.path("key"),
            passphrase=table.maybe_path("passphrase"),
            store=table.path("store"),
            content_keys=table.path("content_keys"),
            trust=Trust.take(table),
            owner=Owner.take(table),
            provider=Provider.take(table),
            storage=Storage.take(table),
        )
        table.done()
        return profile

    @classmethod
    def write(
        cls,
        home: Path,
        *,
        rpc: tuple[str, ...] | list[str],
        deployment: Path | str,
        key: Path | str = "wallet.json",
        passphrase: Path | str | None = None,
        store: Path | str = "blobs",
        content_keys: Path | str = "content-keys.json",
        trust: dict[str, Any] | None = None,
        owner: dict[str, Any] | None = None,
        provider: dict[str, Any] | None = None,
        storage: dict[str, dict[str, Any]] | None = None,
    ) -> Profile:
        """Write `<home>/config.toml` for its owner's eyes only, replacing an old one, and return the profile.

        Args:
            trust, owner, provider: members of those sections as in the file.
            storage: sections of storage by name, "" for [storage] itself.
        Raises:
            BadInputError: a value that could not be read again.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain: dict[str, object] = {
            "rpc": list(rpc),
            "deployment": deployment,
            "key": key,
            "passphrase": passphrase,
            "store": store,
            "content_keys": content_keys,
        }
        sections: dict[str, dict[str, object]] = {"": plain}
        for name, members in (("trust", trust), ("owner", owner), ("provider", provider)):
            if members:
                sections[name] = dict(members)
        for name, members in (storage or {}).items():
            sections[f"storage.{name}" if name else "storage"] = dict(members)
        _write_private(home / CONFIG_NAME, config_text(sections))
        return cls.load(home)

    @property
    def orders(self) -> Path:
        """Folder of the files of orders that this party placed."""
        return self.home / "orders"

    @property
    def simulated(self) -> bool:
        """Return whether this profile believes a SIMULATED root set: whoever prints, says so."""
        return self.trust.root_set.startswith("dev:")


class Session:
    """What a profile opens, each once and only when asked for."""

    def __init__(self, profile: Profile, *, ask: Callable[[str], str] | None = None) -> None:
        """Take a profile.

        Args:
            ask: asks a person for a passphrase, without echo, where the profile names no file.
        """
        self.profile = profile
        self._ask = ask

    @cached_property
    def deployment(self) -> Deployment:
        """Where the market's contracts stand."""
        from marketplace.chain.deployments import Deployment

        return Deployment.load(self.profile.deployment)

    @cached_property
    def reader(self) -> Reader:
        """The market as the first node shows it."""
        from marketplace.chain.reader import Reader

        return Reader(self.profile.rpc[0], self.deployment)

    @cached_property
    def signer(self) -> Signer:
        """The wallet.

        Raises:
            NotFoundError, BadInputError: no key, readable by others, or a passphrase that does not open it.
        """
        return self._signer_in(self.profile.key)

    @cached_property
    def address(self) -> bytes:
        """The wallet's address, 20 bytes; an encrypted keystore tells it without its passphrase."""
        return self._address_in(self.profile.key)

    @cached_property
    def writer(self) -> Writer:
        """The market's calls with this wallet, one at a time."""
        from marketplace.chain.writer import Writer

        return Writer(self.reader.node, self.signer)

    def token(self, address: bytes | None = None) -> Token:
        """Return a token of this chain, by default the market's own."""
        from marketplace.chain.tokens import Token

        named = self.deployment.token if address is None else address
        return Token(self.reader.node.rpc, self.deployment.chain_id, named)

    @cached_property
    def store(self) -> Stores:
        """The blob stores, by scheme; new blobs go where the profile says."""
        return self.profile.storage.stores(self.profile.store)

    def keystore(self, *, create: bool = True) -> KeyStore:
        """Return the keystore of content and result keys, opened.

        Raises:
            KeystoreError: it does not open.
            BadInputError: no passphrase, and nobody to ask.
        """
        from marketplace.sealing.keystore import KeyStore

        if "_keystore" not in self.__dict__:
            self.__dict__["_keystore"] = KeyStore.open(
                self.profile.content_keys, self._passphrase, entropy=os.urandom, create=create
            )
        opened: KeyStore = self.__dict__["_keystore"]
        return opened

    def passphrase(self) -> str:
        """Return the passphrase of this profile's encrypted files, asked for once.

        Raises:
            NotFoundError, BadInputError: its file cannot be used, or there is none, and nobody to ask.
        """
        return self._passphrase

    def grant_address(self) -> bytes:
        """Return the address of the owner's grant key, 20 bytes.

        Raises:
            BadInputError: no grant key in the profile, or one that is encrypted without an address.
        """
        path = self.profile.owner.grant_key
        if path is None:
            raise BadInputError("owner: grant_key", "nothing", "the path of a key in the profile")
        return self._address_in(path)

    def anchor(self, evidence: Evidence | None = None, *, now: int = 0) -> TrustAnchor:
        """Return what this party believes: root set, policy, collateral; nothing comes from what is checked.

        Args:
            evidence, now: for sources that fetch collateral for one platform at one Unix time.
        Raises:
            BadInputError: nothing to believe in the profile.
            CollateralUnavailableError: no collateral.
        """
        from marketplace.sdk.trust import anchor_of

        return anchor_of(self.profile.trust, evidence, now=now)

    def _signer_in(self, path: Path) -> Signer:
        from marketplace.chain.signer import Signer
        from marketplace.service.keyfiles import read_secret

        data = read_secret(path)
        if data.lstrip().startswith(b"{"):
            return Signer.from_keystore(path, self._passphrase)
        try:
            secret = bytes.fromhex(data.decode("ascii").strip().removeprefix("0x"))
        except ValueError:
            expected = "64 hex digits, or an Ethereum keystore"
            raise BadInputError(f"key file {path}", "something else", expected) from None
        return Signer.from_key(secret)

    def _address_in(self, path: Path) -> bytes:
        from marketplace.chain.signer import keystore_address
        from marketplace.service.keyfiles import read_secret

        if read_secret(path).lstrip().startswith(b"{"):
            return keystore_address(path)
        return self._signer_in(path).address

    @cached_property
    def _passphrase(self) -> str:
        from marketplace.service.keyfiles import read_passphrase

        if self.profile.passphrase is not None:
            return read_passphrase(self.profile.passphrase)
        if self._ask is None:
            raise BadInputError("passphrase", "none in the profile, and nobody to ask", "a file of mode 0600")
        return self._ask(f"passphrase of {self.profile.home}")


def _write_private(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    aside.replace(path)
