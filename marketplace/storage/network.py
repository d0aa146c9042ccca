"""Which addresses a stranger's location may lead to (docs/protocol.md section 10).

A manifest is written by somebody else, and whoever fetches what it names must not become that somebody's hand
inside a private network. A name is resolved once, every address is judged, and the connection goes to an
address that was judged: nothing is looked up again in between.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from marketplace.storage.base import BlobUnreachableError, StorageError

__all__ = ["Address", "ForbiddenAddressError", "NetworkPolicy", "Resolve", "resolve"]

Address: TypeAlias = tuple[str, int]
"""Numeric IP address and port."""
Resolve: TypeAlias = Callable[[str, int], Sequence[Any]]
"""As `socket.getaddrinfo` with host and port."""
_Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(StorageError):
    """A location that leads into a network that the settings do not open to strangers' locations."""


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Where connections may go besides the public internet.

    Attributes:
        allowed: private networks that strangers' locations may name.
        dangerous_allow_loopback: True opens this machine's own services to every manifest's author.
        anywhere: for endpoints that this party's own settings name; never for a stranger's location.
    """

    allowed: tuple[_Network, ...] = ()
    dangerous_allow_loopback: bool = False
    anywhere: bool = False

    def admits(self, address: _Ip) -> bool:
        """Whether a connection to `address` may be made."""
        inner = _embedded(address)
        if inner is not None and not self.admits(inner):
            return False
        if self.anywhere or any(address in network for network in self.allowed):
            return True
        if address.is_loopback:
            return self.dangerous_allow_loopback
        if inner is not None:
            return True
        return address.is_global and not address.is_multicast and not address.is_reserved

    def admits_plain(self, address: Address) -> bool:
        """Whether HTTP without TLS may be spoken there: on loopback, or where the settings say."""
        return self.anywhere or (
            self.dangerous_allow_loopback and ipaddress.ip_address(address[0]).is_loopback
        )


def resolve(
    host: str, port: int, policy: NetworkPolicy, lookup: Resolve = socket.getaddrinfo
) -> tuple[Address, ...]:
    """Return the addresses of `host`, all of which `policy` admits.

    Raises:
        ForbiddenAddressError: one of them is not admitted: a name that leads to both is a trap.
        BlobUnreachableError: it has none.
    """
    try:
        found = [str(entry[4][0]) for entry in lookup(host, port)]
    except (OSError, UnicodeError) as error:
        raise BlobUnreachableError(f"{host}: got no address ({error}), expected one") from error
    addresses = tuple(dict.fromkeys(found))
    if not addresses:
        raise BlobUnreachableError(f"{host}: got no address, expected one")
    for text in addresses:
        if not policy.admits(ipaddress.ip_address(text.partition("%")[0])):
            raise ForbiddenAddressError(
                f"{host}: got address {text}, expected one on the public internet",
                hint="to fetch from a private network of yours, name it in [storage.web] allow_networks",
            )
    return tuple((text, port) for text in addresses)


def _embedded(address: _Ip) -> _Ip | None:
    """Return the IPv4 address that an IPv6 address is another spelling of."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
