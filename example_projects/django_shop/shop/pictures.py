"""Pictures by arithmetic: a Julia set, as a PNG."""

import zlib
from collections.abc import Iterable, Iterator
from struct import pack

WIDTH, HEIGHT = 800, 500
_ROUNDS = 100


def drawn_rows(seed: int) -> Iterator[bytes]:
    """The rows of a picture from the top, three bytes a pixel: another one for each seed."""
    constant = complex(-0.8 + (seed % 97) / 970, 0.156 + (seed % 89) / 1780)
    for y in range(HEIGHT):
        row = bytearray()
        for x in range(WIDTH):
            row += _colour(_rounds(complex(3 * x / WIDTH - 1.5, 2 * y / HEIGHT - 1), constant))
        yield bytes(row)


def _rounds(point: complex, constant: complex) -> int:
    for number in range(_ROUNDS):
        if abs(point) > 2:
            return number
        point = point * point + constant
    return _ROUNDS


def _colour(rounds: int) -> bytes:
    light = rounds / _ROUNDS
    return bytes((int(255 * light), int(255 * light**0.5), int(80 + 175 * light**2)))


def png(rows: Iterable[bytes]) -> bytes:
    """The rows as a file (ISO/IEC 15948)."""
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))
