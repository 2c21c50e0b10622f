"""The tests of Django on each version that is supported: `python -m tests.contrib.versions`, or `make test-django`.

Each version runs on the first interpreter of this machine that it supports, looked for on PATH and among those of
pyenv, in an environment that is kept in `.django/`. A version without an interpreter is said to be left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
TESTS: Final = ("tests/contrib/test_django_project.py", "tests/contrib/test_django_worker.py")
# Version of Django: the Pythons to run it on, the best first; and what it needs besides.
VERSIONS: Final = {
    "5.2": (("3.11", "3.12", "3.13"), ("django-tasks>=0.7",)),
    "6.0": (("3.12", "3.13", "3.14"), ()),
    "6.1": (("3.13", "3.14", "3.12"), ()),
}


def main() -> int:
    """0 if all that could be run went well."""
    results = {version: _run(version) for version in VERSIONS}
    print("\n".join(f"Django {version}: {result}" for version, result in results.items()))
    return int(any(result.startswith("FAILED") for result in results.values()))


def _run(version: str) -> str:
    pythons, others = VERSIONS[version]
    found = next(filter(None, map(_interpreter, pythons)), None)
    if found is None:
        return f"left out: no Python {' or '.join(pythons)} here"
    place = ROOT / ".django" / version
    python = str(place / "bin" / "python")
    if not (place / "installed").exists():
        subprocess.run([found, "-m", "venv", "--clear", str(place)], check=True)
        wanted = [f"django~={version}.0", *others, "django-rq>=3", "pytest", "pytest-timeout", "hypothesis"]
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", f"{ROOT}[django,postgres]", *wanted], check=True)
        (place / "installed").touch()
    names = "import django, platform; print(django.__version__, 'on Python', platform.python_version())"
    what = subprocess.run([python, "-c", names], check=True, capture_output=True, text=True).stdout.strip()
    print(f"Django {what}", flush=True)
    done = subprocess.run([python, "-m", "pytest", "-q", *TESTS, *sys.argv[1:]], cwd=ROOT, check=False)
    return f"{'FAILED' if done.returncode else 'passed'} ({what})"


def _interpreter(version: str) -> str | None:
    """One that starts: a shim of pyenv is there even for versions that are not chosen."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"))
    for place in filter(None, (shutil.which(f"python{version}"), *map(str, reversed(installed)))):
        if subprocess.run([place, "-c", "import venv, ensurepip"], check=False, capture_output=True).returncode == 0:
            return place
    return None


if __name__ == "__main__":
    raise SystemExit(main())
