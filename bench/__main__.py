"""`python -m bench`: runs the scenarios and prints their tables."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from bench.measure import machine, table

SCENARIOS = ("singles", "callers", "size", "wake", "start", "processes", "events")

INTRODUCTION = """# What pyqueue costs

Written by `make bench`. Each line sets pyqueue beside a bare limit measured in the same run, in turn, and gives
the median of the ratios with their spread: read the ratios, for rates belong to one machine. "power" survives a
power failure (`synchronous=FULL`), "process" a `kill -9` (`NORMAL`). What is missed is said as plainly as what is met.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="run this scenario; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller files, for a first look")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md (about 8 minutes)")
    arguments = parser.parse_args()
    if arguments.write and (arguments.only or arguments.quick):
        parser.error("--write keeps the results of a whole run: leave out --only and --quick.")
    sections = [INTRODUCTION, *(f"* {fact}" for fact in machine())]
    print("\n".join(sections[1:]))
    for name in arguments.only or SCENARIOS:
        module = importlib.import_module(f"bench.{name}")
        title, _, remarks = (module.__doc__ or name).strip().partition("\n\n")
        text = "\n\n".join([f"\n## {title}", *filter(None, [remarks]), table(module.run(quick=arguments.quick))])
        print(text, flush=True)
        sections.append(text)
    if arguments.write:
        Path(__file__).with_name("RESULTS.md").write_text("\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
