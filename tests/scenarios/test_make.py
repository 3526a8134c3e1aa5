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


def fake(path: Path, script: str) -> Path:
    """A program that is a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def with_venv(folder: Path, made_for: Path, python: str = f'exec {sys.executable} "$@"') -> Path:
    """A checkout with a .venv that was made for this folder, and whose Python is this script."""
    fake(folder / ".venv/bin/python", python)
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    (folder / ".venv/.run").write_text(f"{made_for}\n")
    return folder


def test_an_installed_bot_is_not_installed_again(tmp_path: Path) -> None:
    """A second `make run` starts it at once."""
    status, text = make(with_venv(tmp_path, tmp_path.resolve()), "-n", "run")
    assert status == 0
    assert "-m bots run" in text
    assert "install" not in text


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "too old or without pip"])
def test_a_broken_venv_is_made_anew(tmp_path: Path, gone: bool) -> None:
    """Such as one whose Python was removed by an update of the system."""
    with_venv(tmp_path, tmp_path.resolve(), "exit 1")
    if gone:
        (tmp_path / ".venv/bin/python").unlink()
        (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "nowhere")
    status, text = make(tmp_path, "-n", "run", f"PYTHON={sys.executable}")
    assert status == 0
    assert "-m venv .venv" in text
    assert "-r requirements.lock" in text


def test_a_moved_checkout_is_installed_anew(tmp_path: Path) -> None:
    """The programs in its .venv name the folder where it was; a link to the .venv of another checkout is left alone."""
    elsewhere = with_venv(tmp_path / "elsewhere", tmp_path / "before")
    _, text = make(elsewhere, "-n", "run", f"PYTHON={sys.executable}")
    assert "-m venv .venv" in text
    linked = with_venv(tmp_path / "linked", tmp_path)
    (linked / ".venv").rename(tmp_path / "shared")
    (linked / ".venv").symlink_to(tmp_path / "shared")
    _, text = make(linked, "-n", "run", f"PYTHON={sys.executable}")
    assert "-m venv .venv" not in text


def test_an_old_python_first_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one that is new enough makes the .venv."""
    fake(tmp_path / "bin/python3", "exit 1")
    fake(tmp_path / "bin/python3.14", f'exec {sys.executable} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PYTHON", raising=False)
    status, text = make(tmp_path, "-n", ".venv/bin/python")
    assert status == 0
    assert '"python3.14" -m venv .venv' in text


def test_what_is_missing_is_said_before_anything_is_made(tmp_path: Path) -> None:
    """Debian without python3-venv has no module ensurepip."""
    python = fake(tmp_path / "python", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    status, text = make(tmp_path, ".venv/bin/python", f"PYTHON={python}")
    assert status
    assert "apt install python3-venv" in text
    assert not (tmp_path / ".venv").exists()
