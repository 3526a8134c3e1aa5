"""`make` where Python is not as it should be: it says what to do, and leaves nothing that hinders the next try."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def make(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run make in this folder; returns its status and what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-f", str(MAKEFILE), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        # Debian without python3-venv: the folder is made, and then there is no pip
        (
            f'case "$2" in venv) mkdir -p .venv/bin; touch .venv/bin/python; exit 1;; esac; exec {sys.executable} "$@"',
            "venv",
        ),
        ("exit 1", "3.11 or newer"),
    ],
    ids=["without venv", "too old"],
)
def test_a_python_that_can_not_be_used_is_explained(tmp_path: Path, script: str, said: str) -> None:
    """After it is mended, the same command works."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    status, text = make(tmp_path, ".venv/bin/python", f"PYTHON={python}")
    assert status
    assert said in text
    assert not (tmp_path / ".venv").exists()


def test_make_alone_says_what_there_is(tmp_path: Path) -> None:
    """It starts nothing."""
    status, text = make(tmp_path)
    assert status == 0
    assert "run" in text
    assert "every platform that has tokens" in text
