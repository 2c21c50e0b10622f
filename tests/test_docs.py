"""The documents are true: their examples run, their tables are those of the code, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyqueue import JobOptions
from pyqueue.core.transitions import TRANSITIONS, Rule
from tests import shell

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks run in order in one folder; one that begins with a file name is written to that file."""
    monkeypatch.chdir(tmp_path)
    program = ""
    for language, block in BLOCK.findall(document.read_text()):
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            (tmp_path / name[1]).write_text(block)
        elif language == "python":
            program += block
        else:
            _run_commands(block, tmp_path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _run_commands(block: str, folder: Path) -> None:
    for command in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
        else:
            shell.run(command, folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_pictures_are_small_and_shown() -> None:
    shown = "".join(document.read_text() for document in DOCUMENTS)

    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"(images/{picture.name})" in shown, picture.name
        assert picture.stat().st_size < 150_000, picture.name


def test_the_guide_names_every_option() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()

    assert [option for option in JobOptions.__annotations__ if f"`{option}`" not in guide] == []


def test_the_guide_shows_the_table_of_transitions() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()

    assert guide.endswith(
        "| From | Event | To |\n|---|---|---|\n" + "".join(map(_line, TRANSITIONS, TRANSITIONS.values()))
    )


def _line(event: str, rule: Rule) -> str:
    sources = ", ".join(sorted(rule.sources)) or "–"
    targets = ", ".join(sorted(rule.targets)) or "–"
    return f"| {sources} | {event}: {rule.meaning} | {targets} |\n"
