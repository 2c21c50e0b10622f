"""`python -m bench`: runs the scenarios and prints their tables."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from bench.measure import machine, table

SCENARIOS = (
    "singles",
    "callers",
    "size",
    "wake",
    "start",
    "worker",
    "processes",
    "events",
    "orchestration",
    "flows",
    "postgres",
    "postgres_peers",
    "peers",
    "django",
    "server",
    "serving",
    "web",
)

INTRODUCTION = """# What pyqueue costs

Written by `make bench`. Each line sets pyqueue beside a bare limit measured in the same run, in turn, and gives
the median of the ratios with their spread: read the ratios, for rates belong to one machine. "power" survives a
power failure (beside `synchronous=FULL`), "process" a `kill -9` (`NORMAL`). What is missed is said as plainly as what
is met.
"""


PAGE = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"run only these: {', '.join(SCENARIOS)}")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="the same, one at a time")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller files, for a first look")
    parser.add_argument(
        "--write", action="store_true", help="write bench/RESULTS.md (about 12 minutes), or only the sections that ran"
    )
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.scenario) - set(SCENARIOS)):
        parser.error(f"no scenario is called {', '.join(unknown)}; expected some of: {', '.join(SCENARIOS)}.")
    if arguments.write and arguments.quick:
        parser.error("--write keeps what was measured in full: leave out --quick.")
    chosen = [*arguments.scenario, *(arguments.only or ())]
    facts = [f"* {fact}" for fact in machine()]
    print("\n".join(facts))
    sections = [_section(name, quick=arguments.quick) for name in chosen or SCENARIOS]
    if arguments.write and not chosen:
        PAGE.write_text("\n".join([INTRODUCTION, *facts, *sections]) + "\n")
    elif arguments.write:
        PAGE.write_text(
            _with_sections(PAGE.read_text(), [f"{text}\n\nMeasured apart:\n\n" + "\n".join(facts) for text in sections])
        )


def _section(name: str, *, quick: bool) -> str:
    """Runs a scenario and gives, and prints, its part of the page."""
    module = importlib.import_module(f"bench.{name}")
    title, _, remarks = (module.__doc__ or name).strip().partition("\n\n")
    text = "\n\n".join([f"\n## {title}", *filter(None, [remarks]), table(module.run(quick=quick))])
    print(text, flush=True)
    return text


def _with_sections(page: str, sections: Sequence[str]) -> str:
    """The page with these sections in place of those of the same title, or behind the last."""
    head, *parts = page.rstrip("\n").split("\n\n## ")
    kept = {part.partition("\n")[0]: part for part in parts}
    for section in sections:
        text = section.strip().removeprefix("## ")
        kept[text.partition("\n")[0]] = text
    return "\n\n## ".join([head, *kept.values()]) + "\n"


if __name__ == "__main__":
    main()
