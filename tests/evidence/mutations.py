"""Changes of bytes, of CBOR, JSON and DER, for whoever fuzzes a parser of evidence.

Trees of CBOR, JSON and DER are written again with lengths that fit: what is spoiled is then what they say,
not how long they are. Changes of bytes do the other half.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import cbor2

__all__ = [
    "altered_cbor",
    "altered_der",
    "altered_json",
    "cbor_heads",
    "der_lengths",
    "der_value",
    "mutated",
    "signed_der",
    "wrong_der_lengths",
    "wrong_heads",
]

Places = list[tuple[Any, Any]]
MAX_CASE_BYTES = 1 << 14
TAGS = (1, 2, 3, 4, 5, 6, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0xA0, 0xA3, 0xBF)
EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def cut(data: bytes, a: int, b: int, _: int) -> bytes:
    return data[: min(a, b)] + data[max(a, b) :]


def keep(data: bytes, a: int, b: int, _: int) -> bytes:
    return data[: max(a, b)]


def double(data: bytes, a: int, b: int, _: int) -> bytes:
    first, last = min(a, b), min(max(a, b), min(a, b) + 4096)
    return data[:last] + data[first:last] + data[last:]


def swap(data: bytes, a: int, b: int, _: int) -> bytes:
    return data[b:] + data[a:b] + data[:a] if a < b else data[a:] + data[:a]


def flip(data: bytes, a: int, _: int, value: int) -> bytes:
    return data[:a] + bytes([data[a] ^ (1 << value % 8)]) + data[a + 1 :] if a < len(data) else data


def length(data: bytes, a: int, b: int, value: int) -> bytes:
    size = (1, 2, 4, 8)[b % 4]
    edge = EDGES[value % len(EDGES)] & ((1 << 8 * size) - 1)
    return data[:a] + edge.to_bytes(size, "little" if value & 16 else "big") + data[a + size :]


def near(data: bytes, a: int, b: int, value: int) -> bytes:
    """Change a number of two bytes by a little: most lengths that nearly fit."""
    number = int.from_bytes(data[a : a + 2], "little") + value % 9 - 4
    return data[:a] + (number & 0xFFFF).to_bytes(2, "little") + data[a + 2 :]


STEPS = [cut, keep, double, swap, flip, flip, flip, length, length, near]


def mutated(dice: random.Random, bases: list[bytes]) -> bytes:
    """Return one of `bases` after one to four changes of its bytes."""
    data = dice.choice(bases)
    for _ in range(dice.randint(1, 4)):
        size = len(data)
        data = dice.choice(STEPS)(
            data, int(dice.random() * size), int(dice.random() * size), dice.randrange(256)
        )
    return data[:MAX_CASE_BYTES]


def altered_cbor(dice: random.Random, tree: Any) -> Any:
    """Return a copy of decoded CBOR in which one to three items became something else."""
    return _altered(dice, tree, _other)


def altered_json(dice: random.Random, text: str) -> str:
    """Return JSON in which one to three items became something else; the order of members stays."""
    return json.dumps(_altered(dice, json.loads(text), _other_json), separators=(",", ":"))


def _altered(dice: random.Random, tree: Any, other: Callable[[random.Random, Any, Places], Any]) -> Any:
    whole = [_thawed(tree)]
    for _ in range(dice.choice((1, 1, 2, 3))):
        places = list(_places(whole))
        if not places:
            break
        holder, key = dice.choice(places)
        if dice.random() < 0.2:
            _reshape(dice, holder, key)
        else:
            holder[key] = other(dice, holder[key], places)
    return _frozen(whole[0]) if whole else None


class _Tag(list[Any]):
    """What stands behind a tag, where it can be changed."""

    number = 0


def _copied(value: Any) -> Any:
    return _thawed(_frozen(value))


def _thawed(value: Any) -> Any:
    """Return a copy of decoded CBOR in which tags can be looked into."""
    if isinstance(value, cbor2.CBORTag):
        found = _Tag([_thawed(value.value)])
        found.number = value.tag
        return found
    if isinstance(value, list):
        return [_thawed(one) for one in value]
    return {key: _thawed(one) for key, one in value.items()} if isinstance(value, dict) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, _Tag):
        return cbor2.CBORTag(value.number, _frozen(value[0] if len(value) == 1 else list(value)))
    if isinstance(value, list):
        return [_frozen(one) for one in value]
    return {key: _frozen(one) for key, one in value.items()} if isinstance(value, dict) else value


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _reshape(dice: random.Random, holder: Any, key: Any) -> None:
    """Take an item out, double it, or give it another key."""
    if isinstance(holder, dict):
        value = holder.pop(key)
        if dice.random() < 0.6:
            renamed = [key + 1, -1 - key, str(key)] if isinstance(key, int) else [f"{key}x", 0]
            holder[dice.choice(renamed)] = value
    elif dice.random() < 0.5:
        holder.insert(key, _copied(holder[key]))
    else:
        del holder[key]


def _other(dice: random.Random, value: Any, places: Places) -> Any:
    """Return something to stand in place of `value`: most often of its own type."""
    if isinstance(value, bytes | str) and dice.random() < 0.5:
        size = len(value)
        if isinstance(value, str):
            return dice.choice([value[:-1], value + "\x00", value * 40, "", "\x1b[2J", value.upper()])
        spoiled = mutated(dice, [value or b"\0"])
        return dice.choice(
            [value[:-1], value + b"\0", value * 2, b"", value[: size // 2], bytes(size), spoiled]
        )
    if isinstance(value, int) and dice.random() < 0.5:
        return dice.choice([value + 1, value - 1, -value, value << 8, *EDGES, (1 << 64) - 1, -(1 << 64)])
    nested: Any = 0
    for _ in range(dice.choice((2, 7, 9, 40))):
        nested = [nested]
    holder, key = dice.choice(places)
    return dice.choice(
        [
            *(None, True, False, 0, -1, 1 << 64, -(1 << 70), 1.5, float("nan"), "", "x", b"", [], {}),
            *([value], {0: value}, {"": value}, [0] * 5000, bytes(1025), nested, cbor2.undefined),
            *(
                cbor2.CBORTag(18, 0),
                cbor2.CBORTag(55799, []),
                cbor2.CBORSimpleValue(99),
                _copied(holder[key]),
            ),
        ]
    )


def _other_json(dice: random.Random, value: Any, places: Places) -> Any:
    if isinstance(value, int) and dice.random() < 0.5:
        return dice.choice([value + 1, value - 1, -value, value << 8, *EDGES, (1 << 64) - 1, 1 << 64])
    if isinstance(value, str) and dice.random() < 0.5:
        place = dice.randrange(len(value) + 1)
        one = dice.choice(["", "0", "g", "G", "\x00", "\ud800", "é", "-", "9" * 400])
        return dice.choice(
            [value[:-1], value[:-2], value * 2, value.swapcase(), value[:place] + one + value[place + 1 :]]
        )
    nested: Any = 0
    for _ in range(dice.choice((2, 9, 60))):
        nested = [nested]
    holder, key = dice.choice(places)
    return dice.choice(
        [
            *(
                None,
                True,
                False,
                0,
                -1,
                1 << 64,
                -(1 << 70),
                1.5,
                1e308,
                "",
                "x",
                "\x1b[2J",
                [],
                {},
                [value],
                nested,
            ),
            *({"": value}, [0] * 5000, float("nan"), float("inf"), _copied(holder[key]), "00" * 40),
            *(
                "0000-01-01T00:00:00Z",
                "9999-12-31T23:59:59Z",
                "10000-01-01T00:00:00Z",
                "2026-02-30T00:00:00Z",
            ),
            *("0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00", "2026-01-01", "9999-12-31T23:59:59-23:59"),
        ]
    )


def cbor_heads(data: bytes) -> list[tuple[int, int]]:
    """Return (offset, size) of the head of every item in well-formed CBOR."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        at = _heads_of_item(data, at, found)
    return found


def _heads_of_item(data: bytes, at: int, found: list[tuple[int, int]]) -> int:
    """Add the heads of the item at `at` and of what it holds; return where it ends."""
    major, short = data[at] >> 5, data[at] & 0x1F
    size = 1 + (1 << short - 24 if 24 <= short < 28 else 0)
    found.append((at, size))
    value = short if size == 1 else int.from_bytes(data[at + 1 : at + size], "big")
    at += size
    if major in (2, 3):
        return at + value
    if short == 31:
        while data[at] != 0xFF:
            at = _heads_of_item(data, at, found)
        return at + 1
    for _ in range({4: value, 5: 2 * value, 6: 1}.get(major, 0)):
        at = _heads_of_item(data, at, found)
    return at


def wrong_heads(data: bytes, at: int, size: int) -> Iterator[bytes]:
    """Yield `data` with other lengths, counts or numbers in the head at `at`, and in other spellings."""
    major, short = data[at] & 0xE0, data[at] & 0x1F
    right = short if size == 1 else int.from_bytes(data[at + 1 : at + size], "big")
    for number in {right - 1, right, right + 1, right + 256, *EDGES, (1 << 63) - 1, 1 << 63, (1 << 64) - 1}:
        for wide in (0, 1, 2, 4, 8):
            if not 0 <= number < (1 << 8 * wide if wide else 24):
                continue
            head = bytes([major | number]) if not wide else bytes([major | 23 + wide.bit_length()])
            head += number.to_bytes(wide, "big") if wide else b""
            if head != data[at : at + size]:
                yield data[:at] + head + data[at + size :]
    for reserved in {28, 29, 30, 31} - {short}:
        yield data[:at] + bytes([major | reserved]) + data[at + size :]


def der_lengths(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of the length of every value in DER, at every depth."""
    at, end = start, len(data) if end is None else end
    while at < end:
        wide = 1 + (data[at + 1] & 0x7F if data[at + 1] & 0x80 else 0)
        first = at + 1 + wide
        last = first + (data[at + 1] if wide == 1 else int.from_bytes(data[at + 2 : first], "big"))
        yield at + 1, wide
        if data[at] & 0x20:
            yield from der_lengths(data, first, last)
        at = last


def wrong_der_lengths(data: bytes, at: int, size: int) -> Iterator[bytes]:
    """Yield `data` with other lengths in place of the one at `at`, and with it in other spellings."""
    right = data[at] if size == 1 else int.from_bytes(data[at + 1 : at + size], "big")
    written = {b"\x80", b"\xff", b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8, b"\x88\x7f" + b"\xff" * 7}
    for number in {right, right + 1, abs(right - 1), right + 256, 0, 1, 0x7F, 0x80, 0xFFFF}:
        written |= {bytes([0x80 | wide]) + number.to_bytes(wide, "big") for wide in (2, 3, 4)}
        written |= {bytes([number])} if number < 0x80 else set()
        written |= {bytes([0x81, number])} if number < 0x100 else set()
    for other in sorted(written - {data[at : at + size]}):
        yield data[:at] + other + data[at + size :]


def altered_der(dice: random.Random, data: bytes) -> bytes:
    """Return DER in which one to three values became something else, every length around them mended."""
    whole = _der_tree(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        places = list(_der_places(whole))
        if not places:
            break
        holder, at = dice.choice(places)
        tag, content = holder[at]
        kind = dice.randrange(10)
        if kind == 0:
            del holder[at]
        elif kind == 1:
            holder.insert(at, [tag, content])
        elif kind == 2:
            holder[at] = [dice.choice(TAGS), content]
        elif kind == 3:
            other, place = dice.choice(places)
            holder[at] = deepcopy(other[place])
        elif isinstance(content, bytes) and content:
            simple = dice.choice((b"", bytes(len(content)), b"\xff" * 21))
            near = flip(content, dice.randrange(len(content)), 0, dice.randrange(8))
            holder[at] = [tag, near if kind < 8 else mutated(dice, [content]) if kind == 8 else simple]
        else:
            holder[at] = [tag, [] if kind == 4 else content[::-1]]
    return _der_bytes(whole)[:MAX_CASE_BYTES]


def _der_tree(data: bytes) -> list[Any]:
    """Return [tag, content] of each value; content is bytes, or such a list where it is DER itself."""
    found, at = [], 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            size, at = int.from_bytes(data[at : at + size - 0x80], "big"), at + size - 0x80
        content = data[at : at + size]
        if len(content) != size:
            raise ValueError("not DER")
        at += size
        inner: Any = content
        if tag & 0x20 or (tag == 4 and content[:1] in b"\x30\x03\x04" and content):
            try:
                inner = _der_tree(content)
            except (ValueError, IndexError):
                inner = content
        found.append([tag, inner])
    return found


def _der_places(holder: Any) -> Iterator[tuple[Any, int]]:
    for at, (_, content) in enumerate(holder):
        yield holder, at
        if isinstance(content, list):
            yield from _der_places(content)


def _der_bytes(values: Any) -> bytes:
    out = b""
    for tag, content in values:
        inner = _der_bytes(content) if isinstance(content, list) else content
        out += der_value(tag, inner)
    return out


def _der_length(size: int) -> bytes:
    width = (size.bit_length() + 7) // 8
    return bytes([size]) if size < 0x80 else bytes([0x80 | width]) + size.to_bytes(width, "big")


def der_value(tag: int, content: bytes) -> bytes:
    """Return one value in DER."""
    return bytes([tag]) + _der_length(len(content)) + content


def signed_der(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Return a certificate, list or answer: what is signed, the algorithm's DER, the signature."""
    return der_value(0x30, tbs + algorithm + der_value(3, b"\x00" + signature))
