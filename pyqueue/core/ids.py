"""Job ids: a 63-bit integer inside, a UUIDv7 outside, and no look-up between the two.

The integer is `(created_ms << 21) | sequence`: the row's primary key and the order
of creation. The text form is a UUIDv7 (RFC 9562 §5.7) with the same milliseconds,
the 21 bits of the sequence in the first random bits, and in the last 53 a salt that
is drawn once per database. So an id is turned into a key by arithmetic alone, and
an id of another database is recognised as foreign.

    0                48   52           64 66        75                      128
    | unix_ts_ms     | 7  | seq 20..9  |10| seq 8..0 | salt of the database   |

Ids say when a job was made and can be guessed from one another: they are names, not secrets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from pyqueue.core.errors import JobNotFound, ValidationError

SEQUENCE_BITS: Final = 21
_SALT_BITS: Final = 53
_SALT_MASK: Final = (1 << _SALT_BITS) - 1
_LOW_SEQUENCE_BITS: Final = 9

# Lenient on input, as the wire format asks: hyphens optional, braces and urn:uuid: accepted.
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?",
    re.IGNORECASE,
)


def new_salt() -> int:
    """A salt for a new database: 53 random bits."""
    return int.from_bytes(os.urandom(8)) >> (64 - _SALT_BITS)


def first_key(now_us: int) -> int:
    """The lowest key of the millisecond that `now_us` lies in."""
    return (now_us // 1_000) << SEQUENCE_BITS


def created_us(key: int) -> int:
    """The time at which the job was made, to the millisecond."""
    return (key >> SEQUENCE_BITS) * 1_000


def to_text(key: int, salt: int) -> str:
    """The UUIDv7 of a key: lower case, hyphenated."""
    return _head(key) + _tails(salt)[key & 0x1FF]


def to_texts(keys: Iterable[int], salt: int) -> list[str]:
    """`to_text` of many keys; neighbours, as those of one push are, share most of the work."""
    tails = _tails(salt)
    texts, head, head_of = [], "", -1
    for key in keys:
        if key >> _LOW_SEQUENCE_BITS != head_of:
            head, head_of = _head(key), key >> _LOW_SEQUENCE_BITS
        texts.append(head + tails[key & 0x1FF])
    return texts


def _head(key: int) -> str:
    """The first three groups: 32 and 16 bits of time, version and sequence."""
    return f"{key >> 37:08x}-{key >> 21 & 0xFFFF:04x}-{0x7000 | key >> 9 & 0xFFF:x}"


@lru_cache(maxsize=16)
def _tails(salt: int) -> tuple[str, ...]:
    """The last two groups for each value of the low bits of the sequence: variant and those bits and salt, salt."""
    return tuple(
        f"-{0x8000 | low << 5 | salt >> 48:x}-{salt & 0xFFFFFFFFFFFF:012x}" for low in range(1 << _LOW_SEQUENCE_BITS)
    )


def looks_like_id(text: str) -> bool:
    """Whether the text has the form of a job id, in any spelling."""
    return _UUID.fullmatch(text) is not None


def to_key(text: str, salt: int) -> int:
    """The key of a UUIDv7 made by `to_text` with the same salt.

    Raises:
        ValidationError: `text` is not a UUID.
        JobNotFound: it is one, but was not made by this database.
    """
    # As `to_text` wrote it: ids that are acknowledged together are neighbours and share their head.
    low = _low_bits(salt).get(text[18:]) if type(text) is str else None
    if low is not None:
        high = _high_bits(text[:18])
        if high is not None:
            return high | low
    return _key_of_any(text, salt)


def to_keys(texts: Iterable[str], salt: int) -> list[int]:
    """`to_key` of many ids; neighbours share most of the work."""
    low_bits = _low_bits(salt)
    keys, head, high = [], "", None
    for text in texts:
        if text[:18] != head:
            head = text[:18]
            high = _high_bits(head)
        low = low_bits.get(text[18:])
        keys.append(_key_of_any(text, salt) if low is None or high is None else high | low)
    return keys


@lru_cache(maxsize=16)
def _low_bits(salt: int) -> dict[str, int]:
    """`_tails` the other way round."""
    return {tail: low for low, tail in enumerate(_tails(salt))}


@lru_cache(maxsize=1_024)
def _high_bits(head: str) -> int | None:
    """The bits of a key that `head` stands for, or None if `_head` would write it otherwise."""
    try:
        number = int(head.replace("-", ""), 16)
    except ValueError:
        return None
    key = (number >> 16) << SEQUENCE_BITS | (number & 0xFFF) << _LOW_SEQUENCE_BITS
    return key if key < 1 << 63 and _head(key) == head else None


def _key_of_any(text: str, salt: int) -> int:
    match = _UUID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValidationError(
            f"job id {_shown(text)} is not a UUID; expected the text that push() returned, "
            "such as '0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e'."
        )
    number = int("".join(match.groups()), 16)
    sequence = (number >> 64 & 0xFFF) << _LOW_SEQUENCE_BITS | number >> _SALT_BITS & 0x1FF
    key = (number >> 80) << SEQUENCE_BITS | sequence
    # A key beyond 63 bits cannot be ours: the comparison below then differs in version or time.
    if key >= 1 << 63 or number & _SALT_MASK != salt or number >> 62 & 3 != 2 or number >> 76 & 15 != 7:
        raise JobNotFound(f"job {text} is not known here; expected an id made by this database.")
    return key


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
