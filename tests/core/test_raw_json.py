"""JSON that came over a wire goes into the store as it was written, and ids come back by the shortest way."""

from __future__ import annotations

import msgspec
import pytest

from pyqueue import PyQueue
from pyqueue.core import ids, validate
from pyqueue.core.errors import JobNotFound, ValidationError
from pyqueue.core.shapes import job_json


def test_raw_json_is_stored_as_written_but_in_one_line(queue: PyQueue) -> None:
    raw = msgspec.Raw(b'{"b":  1.50,\r\n "a": "\\u00e9"}')

    job_id = queue.push("q", "n", raw, metadata=msgspec.Raw(b"[1,\n2]"))

    job = queue.get_job(job_id)
    assert job.data_json == '{"b":  1.50,   "a": "\\u00e9"}' and job.data == {"b": 1.5, "a": "é"}
    assert b"\n" not in job_json(job) and job.metadata == [1, 2]


@pytest.mark.parametrize("raw", [b"1e999", b"[-1e400]", b'"\\ud800"', b'{"a":"\xff"}', b"1" * 5_000, b"[" * 5_000])
def test_raw_json_that_no_reader_could_decode_is_refused(raw: bytes) -> None:
    with pytest.raises(ValidationError, match="JSON that cannot be read"):
        validate.json_text(msgspec.Raw(raw), "payload", 10_000)


def test_raw_json_is_measured_in_bytes() -> None:
    raw = msgspec.Raw('"ééé"'.encode())

    assert validate.json_text(raw, "payload", 8) == '"ééé"'
    with pytest.raises(ValidationError, match="payload has 8 bytes as JSON; expected at most 7"):
        validate.json_text(raw, "payload", 7)


@pytest.mark.parametrize("change", ["+199c3a4", " 199c3a4", "0_99c3a4", "ZZZZc3a4", "ffffffff"])
def test_a_head_that_we_would_write_otherwise_is_not_taken_for_ours(change: str) -> None:
    text = ids.to_text(123_456_789 << ids.SEQUENCE_BITS | 77, salt=5)

    assert ids.to_key(text, 5) == 123_456_789 << ids.SEQUENCE_BITS | 77
    with pytest.raises((ValidationError, JobNotFound)):
        ids.to_key(change + text[8:], 5)


def test_ids_are_read_together_as_one_by_one() -> None:
    keys = [123_456_789 << ids.SEQUENCE_BITS | low for low in (510, 511, 512, 3, 511)] + [7]
    texts = ids.to_texts(keys, 5)

    assert ids.to_keys([*texts, texts[0].upper(), texts[1].replace("-", "")], 5) == [*keys, *keys[:2]]
    with pytest.raises(JobNotFound):
        ids.to_keys([*texts, ids.to_text(7, 6)], 5)
    with pytest.raises(ValidationError, match="is not a UUID"):
        ids.to_keys([*texts, "x"], 5)


@pytest.mark.parametrize("last", [b"2", b'"\xc3\xa9"', b'{"a":\n1}', b'"%b"' % (b"x" * 90)])
def test_texts_of_a_batch_are_what_each_would_be_alone(last: bytes) -> None:
    raws = [msgspec.Raw(b'{"a":  1}'), msgspec.Raw(b"[1,2]"), msgspec.Raw(last)]

    together = validate.json_texts(raws, "payload", 2_000)

    assert together == [validate.json_text(raw, "payload", 2_000) for raw in raws]


def test_texts_of_a_batch_are_measured_one_by_one() -> None:
    raws = [msgspec.Raw(b'"123456"')] * 3

    assert len(validate.json_texts(raws, "payload", 8)) == 3
    with pytest.raises(ValidationError, match="payload has 8 bytes as JSON; expected at most 7"):
        validate.json_texts(raws, "payload", 7)


@pytest.mark.parametrize("bad", [b"1e999", b'"\\ud800"', b'{"a":"\xff"}'])
def test_one_text_of_a_batch_that_cannot_be_read_refuses_it(bad: bytes) -> None:
    with pytest.raises(ValidationError, match="JSON that cannot be read"):
        validate.json_texts([msgspec.Raw(b"1"), msgspec.Raw(bad)], "payload", 100)
