"""The ROC curve of the held-out rows: its points, the area below it, and a picture of it.

The picture is a PNG made here: a plotting library would take longer to import than the training takes, and
this one is the same bytes every time.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

from glyphs import GLYPHS, HEIGHT, WIDTH

__all__ = ["area", "curve", "picture"]

_SIZE, _LEFT, _TOP = 360, 70, 40
_TOTAL_WIDTH, _TOTAL_HEIGHT = _LEFT + _SIZE + 30, _TOP + _SIZE + 60
_WHITE, _BLACK, _GREY, _PALE, _BLUE = 0, 1, 2, 3, 4
_PALETTE = bytes((255, 255, 255, 30, 30, 30, 150, 150, 150, 228, 228, 228, 31, 90, 180))

Point = tuple[float, float]


def curve(scores: list[float], labels: list[int]) -> list[Point]:
    """Return (false positive rate, true positive rate) at every threshold, from (0, 0) to (1, 1).

    Both classes must be among the labels.
    """
    positives = sum(labels)
    negatives = len(labels) - positives
    ranked = sorted(zip(scores, labels, strict=True), reverse=True)
    points, true, false = [(0.0, 0.0)], 0, 0
    for index, (score, label) in enumerate(ranked):
        true += label
        false += 1 - label
        if index + 1 == len(ranked) or ranked[index + 1][0] != score:  # equal scores fall together
            points.append((false / negatives, true / positives))
    return points


def area(points: list[Point]) -> float:
    """Return the area below the curve, by trapezia."""
    pairs = pairwise(points)
    return sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairs)


def picture(points: list[Point], title: str) -> bytes:
    """Return a PNG of the curve with axes and `title`."""
    canvas = [bytearray(_TOTAL_WIDTH) for _ in range(_TOTAL_HEIGHT)]
    for tenth in range(11):
        at = tenth / 10
        _line(canvas, (at, 0), (at, 1), _PALE, 1)
        _line(canvas, (0, at), (1, at), _PALE, 1)
        if tenth % 2 == 0:
            x, y = _pixel((at, at))
            _text(canvas, f"{at:.1f}", x - 9, _TOP + _SIZE + 8)
            _text(canvas, f"{at:.1f}", _LEFT - 26, y - 3)
    _line(canvas, (0, 0), (1, 1), _GREY, 1)
    for start, end in (((0, 0), (1, 0)), ((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 0), (1, 1))):
        _line(canvas, start, end, _BLACK, 1)
    for left, right in pairwise(points):
        _line(canvas, left, right, _BLUE, 3)
    _text(canvas, title, _LEFT, 16)
    _text(canvas, "false positive rate", _LEFT + _SIZE // 2 - 57, _TOP + _SIZE + 30)
    _text(canvas, "true positive rate", 20, _TOP + _SIZE // 2 + 54, upwards=True)
    return _png(canvas)


def _pixel(point: Point) -> tuple[int, int]:
    return _LEFT + round(point[0] * _SIZE), _TOP + round((1 - point[1]) * _SIZE)


def _line(canvas: list[bytearray], start: Point, end: Point, colour: int, width: int) -> None:
    (x0, y0), (x1, y1) = _pixel(start), _pixel(end)
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    reach = range(-(width // 2), width // 2 + 1)
    for step in range(steps + 1):
        x, y = x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)
        for dx in reach:
            for dy in reach:
                canvas[y + dy][x + dx] = colour


def _text(canvas: list[bytearray], text: str, x: int, y: int, *, upwards: bool = False) -> None:
    for place, character in enumerate(text):
        for row, bits in enumerate(GLYPHS[character]):
            for column in range(WIDTH):
                if bits >> (WIDTH - 1 - column) & 1:
                    along = place * (WIDTH + 1) + column
                    px, py = (x + row, y - along) if upwards else (x + along, y + row)
                    canvas[py][px] = _BLACK


def _png(canvas: list[bytearray]) -> bytes:
    assert all(len(glyph) == HEIGHT for glyph in GLYPHS.values())
    header = struct.pack(">IIBBBBB", _TOTAL_WIDTH, _TOTAL_HEIGHT, 8, 3, 0, 0, 0)  # 8 bits, palette
    lines = b"".join(b"\0" + bytes(line) for line in canvas)
    chunks = ((b"IHDR", header), (b"PLTE", _PALETTE), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
