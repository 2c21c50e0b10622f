"""Printing: tables for people, one JSON object per line for programs. stdout carries data, stderr talk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec


def print_json(objects: Iterable[Mapping[str, Any]]) -> None:
    for each in objects:
        click.echo(msgspec.json.encode(each).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; numbers to the right. Colour only at a terminal, and not with NO_COLOR."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    materialised = [list(row) for row in rows]
    for position, column in enumerate(columns):
        is_number = bool(materialised) and all(isinstance(row[position], int) for row in materialised)
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    for row in materialised:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    if not console.is_terminal:
        # A pipe has no width: let the longest line fit.
        console.width = max(80, table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum)
    console.print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Lines of a name and a value; further lines of a value are indented under it."""
    shown = [(name, str(value)) for name, value in facts if value not in (None, (), [], False)]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        first, *rest = value.splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}")
        for line in rest:
            click.echo(f"{'':<{width}}  {line}")
