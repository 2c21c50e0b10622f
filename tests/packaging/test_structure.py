"""The shape of the code: what the style asks for and a machine can check."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "pyqueue").rglob("*.py"))
ALL_PYTHON = sorted(path for folder in ("pyqueue", "tests", "bench", "demo") for path in (ROOT / folder).rglob("*.py"))
BANNED = {"utils", "helpers", "common", "misc", "base", "manager"}


@pytest.mark.parametrize("path", ALL_PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400, "look for the seam"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "pyqueue" in path.parts:
            assert (node.end_lineno or node.lineno) - node.lineno < 50, f"{node.name} does too much"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_named_after_one_thing_and_say_what_they_are_for(path: Path) -> None:
    assert path.stem not in BANNED
    if path.stem != "__init__" or path.read_text():
        assert ast.get_docstring(ast.parse(path.read_text())), "a module begins with what it is for"


def test_metadata_stands_in_setup_cfg_and_tools_in_pyproject() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    assert set(pyproject) == {"build-system", "tool"}
    assert setup["metadata"]["name"] == "pyqueue-jobs"
    assert setup["options"]["packages"] == "find:"
    assert setup["options"]["package_dir"].strip() == "= ."


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_importing_has_no_effects() -> None:
    program = """
import sys, threading
before = set(sys.modules)
import pyqueue
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(threading.active_count(), sorted(loaded & {"click", "rich", "sqlalchemy", "django", "flask", "fastapi"}))
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split(maxsplit=1) == ["1", "[]\n"]


def test_work_on_a_file_imports_no_driver_but_its_own(tmp_path: Path) -> None:
    """peewee imports each that is installed, and psycopg alone is 10 MB of a process."""
    program = """
import sys
from pyqueue import PyQueue
with PyQueue(sys.argv[1]) as queue:
    queue.push("q", "n")
    queue.worker("q", lambda job: None, burst=True).run()
print(sorted({"peewee", "psycopg", "psycopg2"} & set(sys.modules)))
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "jobs.db")], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(source)]
    subprocess.run(command, check=True)

    [wheel] = tmp_path.glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    files = re.findall(r"^(\S+)", names, re.MULTILINE)[1:]
    assert wheel.name.startswith("pyqueue_jobs-")
    assert "pyqueue/py.typed" in files
    assert "pyqueue/core/queue.py" in files
    assert {name.partition("/")[0].partition("-")[0] for name in files} == {"pyqueue", "pyqueue_jobs"}


def test_nothing_tells_of_the_machine_it_was_written_on() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        text = (ROOT / name).read_text(errors="replace") if (ROOT / name).exists() else ""
        assert not re.search(r"/(root|home)/[a-z]", text.replace("/home/user", "")), name


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert all(f"make {target}" in shown for target in phony.split())


def test_nothing_is_pickled() -> None:
    for path in SOURCES:
        assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve)\b", path.read_text(), re.MULTILINE), path


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    folder = ROOT / "docs" / "adr"
    titles = {}
    for page in folder.glob("0*.md"):
        number, title = re.match(r"# (\d+)\. (.+)", page.read_text()).groups()  # type: ignore[union-attr]
        assert int(page.name[:4]) == int(number), page.name
        titles[page.name] = f"{number}. [{title}]"

    index = re.findall(r"^\* (\d+\. \[.+?\])\((\S+)\): .", (folder / "README.md").read_text(), re.MULTILINE)

    assert {name: title for title, name in index} == titles
    assert [name for _, name in index] == sorted(titles)
