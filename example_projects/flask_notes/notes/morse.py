"""Text as Morse code, as sound (Recommendation ITU-R M.1677)."""

from __future__ import annotations

import io
import wave
from array import array
from collections.abc import Iterable, Iterator
from math import pi, sin

RATE = 16_000
_UNIT = RATE * 6 // 100  # 60 ms: 20 words a minute
_TABLE = (
    "a.- b-... c-.-. d-.. e. f..-. g--. h.... i.. j.--- k-.- l.-.. m-- n-. o--- p.--. q--.- r.-. s... t- u..- v...- "
    "w.-- x-..- y-.-- z--.. 0----- 1.---- 2..--- 3...-- 4....- 5..... 6-.... 7--... 8---.. 9----."
)
_SIGNS = {each[0]: each[1:] for each in _TABLE.split()}


def sounds(text: str) -> Iterator[array[int]]:
    """The samples of each character, with the silence that follows it; characters that Morse has no sign for pause."""
    for character in text.lower():
        samples = array("h")
        for sign in _SIGNS.get(character, ""):
            samples.extend(_tone(_UNIT if sign == "." else 3 * _UNIT))
            samples.extend(array("h", bytes(2 * _UNIT)))
        samples.extend(array("h", bytes(4 * _UNIT)))
        yield samples


def _tone(length: int) -> Iterator[int]:
    for at in range(length):
        loudness = min(1, at / 100, (length - at) / 100)  # No clicks at its ends.
        yield int(12_000 * loudness * sin(2 * pi * 600 * at / RATE))


def wav(samples: Iterable[array[int]]) -> bytes:
    """The samples as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        for each in samples:
            sound.writeframes(each.tobytes())
    return file.getvalue()
