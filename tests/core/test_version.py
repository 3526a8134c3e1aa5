"""The mark of the sources that run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_source_that_can_t_be_read_ends_nothing(tmp_path: Path) -> None:
    """Emacs marks a file that is being edited with a link that leads nowhere."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").touch()
    (tmp_path / "core" / "version.py").write_text((ROOT / "core" / "version.py").read_text())
    (tmp_path / "core" / ".#version.py").symlink_to("ann@machine.1234:1")
    code = "from core.version import running; print(running())"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip()
    assert "+" not in shown.stdout
