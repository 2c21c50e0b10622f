"""The bytes that a connection has received, cut into lines."""

from __future__ import annotations

from typing import Final

_FIRST_BYTES: Final = 16 * 1_024
# What a connection may keep when it is idle; more is given back once a large line is through.
_KEPT_BYTES: Final = 256 * 1_024


class Lines:
    """A buffer to receive into, that grows with what comes, up to one line of `line_bytes_max`."""

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._buffer = bytearray(_FIRST_BYTES)
        self._end = 0

    @property
    def is_too_long(self) -> bool:
        """What was received is the beginning of a line that may not be this long."""
        return self._end > self._line_bytes_max

    def room(self) -> memoryview:
        """Where the next bytes may be put; never empty."""
        size = len(self._buffer)
        if self._end == size:
            # A new one, since the event loop may still hold a view of the old one.
            larger = bytearray(min(2 * size, max(size, self._line_bytes_max) + _FIRST_BYTES))
            larger[:size] = self._buffer
            self._buffer = larger
        return memoryview(self._buffer)[self._end :]

    def take(self, received: int) -> bytes | None:
        """All whole lines, now that `received` bytes have come, without the last line break; None for none."""
        searched, self._end = self._end, self._end + received
        cut = self._buffer.rfind(b"\n", searched, self._end)
        if cut < 0:
            return None
        view = memoryview(self._buffer)
        block = bytes(view[:cut])
        self._keep(bytes(view[cut + 1 : self._end]))
        return block

    def rest(self) -> bytes:
        """The last line, which has no line break since the sender has finished."""
        rest = bytes(memoryview(self._buffer)[: self._end])
        self.clear()
        return rest

    def clear(self) -> None:
        """Forgets everything."""
        self._end = 0

    def _keep(self, rest: bytes) -> None:
        if len(self._buffer) > _KEPT_BYTES and len(rest) <= _FIRST_BYTES:
            self._buffer = bytearray(_FIRST_BYTES)
        self._buffer[: len(rest)] = rest
        self._end = len(rest)


def readable(lines: list[bytes]) -> list[bytes]:
    """The lines before the first that is not UTF-8."""
    for number, line in enumerate(lines):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                return lines[:number]
    return lines
