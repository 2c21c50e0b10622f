"""Input is parsed here, once, into values that the engine trusts.

Every message says what was given, what was expected and what to do. Messages hold
the words that clients of the wire format look for (`alphanumeric`, `payload`, …).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from pyqueue.core import limits
from pyqueue.core.errors import ValidationError

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def queue_name(name: object) -> str:
    """1–256 characters of `[A-Za-z0-9._-]`."""
    if type(name) is str:
        return _checked_name(name, "queue name", limits.QUEUE_NAME_BYTES_MAX)
    return _name(name, "queue name", limits.QUEUE_NAME_BYTES_MAX)


def job_name(name: object) -> str:
    """1–1024 characters of `[A-Za-z0-9._-]`."""
    if type(name) is str:  # Once for each job: a call less.
        return _checked_name(name, "job name", limits.JOB_NAME_BYTES_MAX)
    return _name(name, "job name", limits.JOB_NAME_BYTES_MAX)


def _name(name: object, what: str, size_max: int) -> str:
    if not isinstance(name, str):
        raise ValidationError(f"{what} {shown(name)} is a {type(name).__name__}; expected a string.")
    return _checked_name(name, what, size_max)


# Few names are used again and again: looking one up costs a tenth of matching it.
@lru_cache(maxsize=1_024)
def _checked_name(name: str, what: str, size_max: int) -> str:
    if _NAME.fullmatch(name) and len(name) <= size_max:
        return name
    if not name:
        raise ValidationError(f"{what} is empty; expected a non-empty string, such as 'emails'.")
    if len(name) > size_max:
        raise ValidationError(
            f"{what} {shown(name)} has {len(name)} characters and exceeds maximum length {size_max}; shorten it."
        )
    suggestion = _NOT_IN_NAMES.sub("-", name)
    raise ValidationError(
        f"{what} {shown(name)} contains {_NOT_IN_NAMES.search(name)[0]!r}; "  # type: ignore[index]  # it is there
        f"expected alphanumeric characters, '.', '_' or '-'. Try {shown(suggestion)}."
    )


def json_text(value: Any, what: str, size_max: int) -> str:
    """`value` as JSON text within `size_max` bytes.

    What msgspec encodes is accepted (datetime, UUID, dataclass, … become their JSON forms);
    NaN and infinities, which have no JSON form, are refused instead of becoming null. A `msgspec.Raw`
    is JSON already: it is looked over, and taken as it is, in one line.
    """
    if type(value) is msgspec.Raw:
        return _wire_text(value, what, size_max)
    try:
        encoded = _encode(value)
        text = encoded.decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValidationError(
            f"{what} cannot be stored as JSON ({error}); expected dicts, lists, strings, numbers, booleans and None."
        ) from error
    if len(encoded) > size_max:
        raise _too_large(what, len(encoded), size_max)
    if b"null" in encoded and not all(map(math.isfinite, _floats(value))):
        raise ValidationError(f"{what} contains NaN or an infinity, which JSON cannot hold; expected finite numbers.")
    return text


def json_texts(raws: Sequence[msgspec.Raw], what: str, size_max: int) -> list[str]:
    """`json_text` of many pieces of JSON. Small and valid ones, as most are, are looked over in one go."""
    together = b",".join(raws)
    try:
        if len(together) <= size_max and b"\n" not in together and b"\r" not in together:
            _decode(b"[%b]" % together)
            return [str(raw, "utf-8") for raw in raws]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # Below it is said which of them, and why.
    return [_wire_text(raw, what, size_max) for raw in raws]


def _wire_text(raw: msgspec.Raw, what: str, size_max: int) -> str:
    """The text of raw JSON. It is decoded to look it over: what only skips it lets pass 1e999, which none can read."""
    size_bytes = memoryview(raw).nbytes
    if size_bytes > size_max:
        raise _too_large(what, size_bytes, size_max)
    try:
        _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValidationError(f"{what} is JSON that cannot be read ({error}); expected valid JSON.") from error
    # A line break in JSON is white space between values; in a protocol of lines it would end the reply that holds it.
    return str(raw, "utf-8").replace("\r", " ").replace("\n", " ")


def _too_large(what: str, size_bytes: int, size_max: int) -> ValidationError:
    return ValidationError(
        f"{what} has {size_bytes:,} bytes as JSON; expected at most {size_max:,}. "
        "Store the large part elsewhere and pass a reference to it."
    )


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _floats(item)


def integer(value: object, what: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`; True and 1.0 are not."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValidationError(f"{what} {shown(value)}; expected a whole number from {low} to {high}.")


def boolean(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ValidationError(f"{what} {shown(value)}; expected True or False.")


def text(value: object, what: str, size_max: int) -> str:
    """A non-empty string without NUL, of at most `size_max` bytes of UTF-8."""
    if not isinstance(value, str) or not value:
        raise ValidationError(f"{what} {shown(value)}; expected a non-empty string.")
    size_bytes = size_of(value, what)
    if size_bytes > size_max:
        raise ValidationError(f"{what} has {size_bytes:,} bytes; expected at most {size_max:,}. Shorten it.")
    if "\0" in value:
        raise ValidationError(f"{what} {shown(value)} contains a NUL character; expected text without it.")
    return value


def size_of(value: str, what: str) -> int:
    """Bytes of the string as UTF-8; a lone surrogate cannot be stored."""
    try:
        return len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise ValidationError(f"{what} is not valid Unicode ({error}); expected text.") from error


def texts(values: object, what: str, *, count_max: int, size_max: int) -> tuple[str, ...]:
    """A sequence of strings as `text` wants them, each once, in the given order."""
    if isinstance(values, str) or not isinstance(values, Sequence | set | frozenset):
        raise ValidationError(f"{what} {shown(values)}; expected a list of strings.")
    if len(values) > count_max:
        raise ValidationError(f"{what} has {len(values):,} entries; expected at most {count_max:,}.")
    return tuple(dict.fromkeys(text(value, f"{what} entry", size_max) for value in values))


def error_text(error: object) -> str:
    """The text of a failure, as the wire limits it."""
    if not isinstance(error, str):
        raise ValidationError(f"error {shown(error)}; expected a string or an exception.")
    size_bytes = size_of(error, "Error message")
    if size_bytes > limits.ERROR_BYTES_MAX:
        raise ValidationError(
            f"Error message has {size_bytes:,} bytes; expected at most {limits.ERROR_BYTES_MAX:,}. "
            "Cut it (an exception passed instead of a text is cut for you)."
        )
    return error.replace("\0", "\ufffd")


def cut(value: str, size_max: int) -> str:
    """`value` within `size_max` bytes: the end is kept, since tracebacks end with what matters."""
    encoded = value.encode(errors="replace")
    if len(encoded) <= size_max:
        return encoded.decode()
    mark = "… (cut)\n"
    kept = encoded[len(encoded) - size_max + len(mark.encode()) :]
    return mark + kept.decode(errors="ignore")


def known_keys(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuses a key that nobody would read.

    Raises:
        ValidationError: naming the unknown key, the known ones, and the one that was probably meant.
    """
    known = tuple(known)
    for key in given:
        if key not in known:
            from difflib import get_close_matches  # 5 ms, and most keys are right

            nearest = get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValidationError(f"unknown {what} {shown(key)}; expected one of: {', '.join(sorted(known))}.{hint}")


def shown(value: object) -> str:
    """A value for a message, cut to a sane length."""
    shown_value = repr(value)
    return shown_value if len(shown_value) <= 80 else shown_value[:77] + "..."
