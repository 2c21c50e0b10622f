"""Arguments that take the results of parents: how they are written down with a dependency, and filled in at the pull.

What is stored are names of keys in the data of the child, parted by spaces; one that ends with `[]` collects the
results of several parents in a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

_LIST: Final = "[]"
_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NULL: Final = msgspec.Raw(b"null")


def filled(data_json: str, results: Iterable[tuple[str, str | None]]) -> str:
    """The data with the results, from pairs of (names, result as JSON) in the order of the parents."""
    data: dict[str, Any] = dict(_decode(data_json))
    for names, result in results:
        value = _NULL if result is None else msgspec.Raw(result.encode())
        for name in names.split():
            if name.endswith(_LIST):
                collected = data.setdefault(name[: -len(_LIST)], [])
                collected.append(value)
            else:
                data[name] = value
    return msgspec.json.encode(data).decode()


def names_of(single: Iterable[str], lists: Iterable[str]) -> str:
    """How the arguments that take a result alone, and those that collect it, are stored."""
    return " ".join([*single, *(name + _LIST for name in lists)])
