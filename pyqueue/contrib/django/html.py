"""What the admin's pages show of jobs, as HTML. Their looks are in `static/pyqueue/admin.css`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join


def moment(at: datetime | None) -> str | None:
    """To the second, since much can happen to a job in a minute; in the time zone of the project."""
    return None if at is None else date_format(timezone.template_localtime(at), "Y-m-d H:i:s")


def state(name: str) -> Any:
    """With a colour of its own."""
    return format_html('<span class="pyqueue-state pyqueue-{}">{}</span>', name, name)


def progress(percent: int | None) -> Any:
    """How far a job says it is; None if it says nothing."""
    if percent is None:
        return None
    return format_html('<progress max="100" value="{}"></progress> {} %', percent, percent)


def code(text: str) -> Any:
    """As it is, line by line."""
    return format_html('<pre class="pyqueue-code">{}</pre>', text)


def data(value: Any) -> Any:
    """JSON to be read by people; None if there is none."""
    return None if value is None else code(json.dumps(value, indent=2, ensure_ascii=False))


def runs(failed: Iterable[tuple[datetime, str | None, str]]) -> Any:
    """When each run failed, where, and how."""
    return format_html_join(
        "",
        '<p class="pyqueue-run">{}{}</p>{}',
        ((moment(at), f" on {worker}" if worker else "", code(error)) for at, worker, error in failed),
    )


def log(messages: Iterable[tuple[datetime, str]]) -> Any:
    """Line by line, in a box of its own when there are many."""
    lines = format_html_join("\n", "{}  {}", ((moment(at), message) for at, message in messages))
    return format_html('<pre class="pyqueue-code pyqueue-log">{}</pre>', lines) if lines else None
