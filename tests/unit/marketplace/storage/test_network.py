"""Addresses that a stranger's location may lead to, and those that it may not."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from marketplace.storage.base import BlobUnreachableError
from marketplace.storage.network import ForbiddenAddressError, NetworkPolicy, resolve

STRICT = NetworkPolicy()
INNER = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1"),
    *("2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
]


@pytest.mark.parametrize("address", INNER)
def test_refuses_addresses_that_are_not_public(address: str) -> None:
    assert not STRICT.admits(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_admits_public_addresses(address: str) -> None:
    assert STRICT.admits(ipaddress.ip_address(address))


def test_admits_what_the_settings_open_and_no_more() -> None:
    policy = NetworkPolicy(allowed=(ipaddress.ip_network("10.20.0.0/16"),))
    assert policy.admits(ipaddress.ip_address("10.20.3.4"))
    assert policy.admits(ipaddress.ip_address("::ffff:10.20.3.4"))
    assert not policy.admits(ipaddress.ip_address("10.21.0.1"))
    assert not policy.admits(ipaddress.ip_address("127.0.0.1"))
    dangerous = NetworkPolicy(dangerous_allow_loopback=True)
    assert dangerous.admits(ipaddress.ip_address("127.0.0.1"))
    assert dangerous.admits(ipaddress.ip_address("::1"))
    assert not dangerous.admits(ipaddress.ip_address("169.254.169.254"))


def answers(*addresses: str) -> object:
    return lambda host, port: [(0, 0, 0, "", (address, port)) for address in addresses]


def test_resolves_to_every_address_once() -> None:
    lookup = answers("93.184.216.34", "2606:2800:220:1::1", "93.184.216.34")
    found = resolve("example.org", 443, STRICT, lookup)  # type: ignore[arg-type]
    assert found == (("93.184.216.34", 443), ("2606:2800:220:1::1", 443))


@pytest.mark.parametrize("bad", ["10.0.0.1", "fe80::1%eth0"])
def test_refuses_a_name_with_one_address_inside(bad: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="expected one on the public internet") as caught:
        resolve("example.org", 443, STRICT, answers("93.184.216.34", bad))  # type: ignore[arg-type]
    assert "allow_networks" in caught.value.hint


def test_says_that_a_name_has_no_address() -> None:
    def unknown(host: str, port: int) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    for lookup in (unknown, answers()):
        with pytest.raises(BlobUnreachableError, match="got no address"):
            resolve("nowhere.invalid", 443, STRICT, lookup)  # type: ignore[arg-type]
