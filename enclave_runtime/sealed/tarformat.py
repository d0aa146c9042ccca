"""One entry of the archive as tar header blocks, in exactly one way (docs/protocol.md section 3.1).

ustar headers with zero times and owners and fixed modes; a pax record only where ustar has no room (a name
that is long or not ASCII, a size of 8 GiB and more). The reader builds the entry and encodes it again: what
is not byte for byte what the writer writes is refused, so one tree has one archive on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from enclave_runtime.sealed.names import text_fault
from enclave_runtime.wire.errors import WireError

__all__ = [
    "BLOCK_BYTES",
    "END_BYTES",
    "MAX_DEPTH",
    "MAX_NAME_BYTES",
    "MAX_PAX_BYTES",
    "Entry",
    "Kind",
    "decode_header",
    "encode",
    "is_extended",
    "link_fault",
    "name_fault",
    "padding",
    "pax_bytes",
    "sort_key",
]

BLOCK_BYTES: Final = 512
END_BYTES: Final = 2 * BLOCK_BYTES
"""Two zero blocks close the archive; nothing follows."""
MAX_NAME_BYTES: Final = 1024
MAX_DEPTH: Final = 64
MAX_PAX_BYTES: Final = 4096
_MAX_PART_BYTES: Final = 255
_NO_PARTS: Final = frozenset(("", ".", ".."))
_FIELD: Final = 100
_MAX_OCTAL: Final = (1 << 33) - 1
_EXTENDED: Final = b"x"
_OWNERS: Final = b"0000000\x00" * 2
_TIME: Final = b"00000000000\x00"
_REST: Final = (b"ustar\x0000" + bytes(64) + b"0000000\x00" * 2).ljust(255, b"\x00")
"""Format, no names of owners, no device, no prefix."""
_FIXED_SUM: Final = sum(_OWNERS + _TIME + _REST) + 8 * ord(" ")
"""Of the bytes that every header has, its own checksum counted as spaces."""


class Kind(Enum):
    """What an entry is; the value is its tar type flag. There are no others."""

    FILE = b"0"
    SYMLINK = b"2"
    DIRECTORY = b"5"


_KINDS: Final = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symbolic link.

    Attributes:
        name: relative path with "/" between its parts, no "/" at the end.
        size: bytes of content, 0 unless a file.
        executable: files only; the one permission that is kept, as git keeps it.
        target: symbolic links only.
    """

    name: str
    kind: Kind
    size: int = 0
    executable: bool = False
    target: str = ""

    @property
    def mode(self) -> int:
        """0755 for directories and executables, 0644 for other files, 0777 for links."""
        if self.kind is Kind.SYMLINK:
            return 0o777
        return 0o755 if self.executable or self.kind is Kind.DIRECTORY else 0o644


def name_fault(name: str) -> str | None:
    """Return what is wrong with a name, in words that do not repeat it, or None."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    parts = name.split("/")
    long = len(encoded) > _MAX_PART_BYTES
    if long and (len(encoded) > MAX_NAME_BYTES or max(map(len, encoded.split(b"/"))) > _MAX_PART_BYTES):
        return f"a name above {MAX_NAME_BYTES} bytes, or {_MAX_PART_BYTES} in one part"
    if len(parts) > MAX_DEPTH:
        return f"a name deeper than {MAX_DEPTH} directories"
    if not _NO_PARTS.isdisjoint(parts):
        return "a name that is absolute or has an empty, '.' or '..' part"
    return text_fault(name)


def link_fault(name: str, target: str) -> str | None:
    """Return why a symbolic link is not allowed, or None.

    '..' may stand only at the start of the target, where directories are real ones: after a name, which may
    be a link itself, its meaning could not be told without following.
    """
    parts = target.split("/")
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    if ups > name.count("/"):
        return "a link that leaves the root"
    if parts[ups:] and (fault := name_fault("/".join(parts[ups:]))):
        return f"a link whose target has {fault}"
    if len(target.encode()) > MAX_NAME_BYTES:
        return f"a link whose target is above {MAX_NAME_BYTES} bytes"
    return None


def sort_key(name: str) -> tuple[bytes, ...]:
    """Return the key of the one order of entries: part by part, each by its UTF-8 bytes."""
    return tuple(name.encode().split(b"/"))


def padding(size: int) -> int:
    """Return the zero bytes that follow `size` bytes of content."""
    return -size % BLOCK_BYTES


def encode(entry: Entry) -> bytes:
    """Return the header blocks of `entry`, pax blocks first where they are needed."""
    path = entry.name.encode() + (b"/" if entry.kind is Kind.DIRECTORY else b"")
    target = entry.target.encode()
    if not (entry.size > _MAX_OCTAL or _needs_pax(path) or _needs_pax(target)):
        return _header(path, target, entry.mode, entry.size, entry.kind.value)
    records = {
        b"linkpath": target if _needs_pax(target) else b"",
        b"path": path if _needs_pax(path) else b"",
        b"size": str(entry.size).encode() if entry.size > _MAX_OCTAL else b"",
    }
    extended = b"".join(_record(key, value) for key, value in sorted(records.items()) if value)
    head = b""
    if extended:
        head = _header(b"././@PaxHeader", b"", 0o644, len(extended), _EXTENDED)
        head += extended + bytes(padding(len(extended)))
    size = 0 if entry.size > _MAX_OCTAL else entry.size
    return head + _header(_plain(path), _plain(target), entry.mode, size, entry.kind.value)


def is_extended(block: bytes) -> bool:
    """Say whether `block` is the header of pax records, which another header follows."""
    return block[156:157] == _EXTENDED


def pax_bytes(block: bytes) -> int:
    """Return the length of the pax records that follow `block`, without padding.

    Raises:
        WireError: no size, or more than `MAX_PAX_BYTES`.
    """
    size = _size(block)
    if not 0 < size <= MAX_PAX_BYTES:
        raise WireError(f"pax records: got {size} bytes, expected 1 to {MAX_PAX_BYTES}")
    return size


def decode_header(pax: bytes, block: bytes) -> Entry:
    """Return the entry that was encoded as these blocks.

    Args:
        pax: pax header, records and padding, or nothing.
        block: the header itself, 512 bytes.
    Raises:
        WireError: another type, or any byte that `encode` would not write. Names are not judged here.
    """
    records = _records(pax[BLOCK_BYTES : BLOCK_BYTES + pax_bytes(pax[:BLOCK_BYTES])]) if pax else {}
    try:
        kind = _KINDS[block[156:157]]
        path = records.get(b"path", block[:_FIELD].rstrip(b"\x00")).decode()
        target = records.get(b"linkpath", block[157 : 157 + _FIELD].rstrip(b"\x00")).decode()
        size = int(records[b"size"]) if b"size" in records else _size(block)
    except (KeyError, ValueError) as error:
        raise WireError("tar header: got another type or a field that is not text") from error
    name = path[:-1] if kind is Kind.DIRECTORY and path.endswith("/") else path
    entry = Entry(name, kind, size, kind is Kind.FILE and block[100:107] == b"0000755", target)
    strange = (size and kind is not Kind.FILE) or (target and kind is not Kind.SYMLINK)
    if strange or size < 0 or encode(entry) != pax + block:
        raise WireError("tar header: got other bytes than this archive's own writer makes")
    return entry


def _needs_pax(text: bytes) -> bool:
    return len(text) > _FIELD or not text.isascii()


def _plain(text: bytes) -> bytes:
    return text.decode().encode("ascii", "replace")[:_FIELD]


def _record(key: bytes, value: bytes) -> bytes:
    """Return "<length> key=value\\n", where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _records(data: bytes) -> dict[bytes, bytes]:
    """Return the records loosely; the caller encodes them again, which refuses every other form."""
    found: dict[bytes, bytes] = {}
    while data:
        length_text, space, _ = data.partition(b" ")
        if not space or not length_text.isdigit() or len(length_text) > 5 or int(length_text) > len(data):
            raise WireError("pax records: got a length that does not fit")
        record, data = data[len(length_text) + 1 : int(length_text)], data[int(length_text) :]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or key not in (b"path", b"linkpath", b"size"):
            raise WireError("pax records: got a key other than path, linkpath or size")
        if key == b"size" and not (value[:-1].isdigit() and len(value) <= 20):
            raise WireError("pax records: got a size that is no number")
        found[key] = value[:-1]
    return found


def _size(block: bytes) -> int:
    digits = block[124:135]
    if not digits.isdigit() or max(digits) > ord("7"):
        raise WireError("tar header: got a size that is not eleven octal digits")
    return int(digits, 8)


def _header(name: bytes, target: bytes, mode: int, size: int, flag: bytes) -> bytes:
    varying = b"%07o\x00" % mode, b"%011o\x00" % size
    checksum = _FIXED_SUM + sum(b"".join((name, target, flag, *varying)))
    return b"".join(
        (
            name.ljust(_FIELD, b"\x00"),
            varying[0],
            _OWNERS,
            varying[1],
            _TIME,
            b"%06o\x00 " % checksum,
            flag,
            target.ljust(_FIELD, b"\x00"),
            _REST,
        )
    )
