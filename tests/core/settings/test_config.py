"""Variables of the core with values that are wrong: each gets a sentence that says what to write."""

from pathlib import Path

import pytest

from core.settings.config import Config
from core.settings.environment import WrongConfig, read


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ACCESS_BOTS", "@deploys B1", "word 1 is not an id; write ids of bots, apps, workflows or webhooks"),
        ("ACCESS_DENY", "#general", "word 1 is not an id; write ids of people, roles, channels"),
        ("OPERATOR", "x" * 201, "at most 200 characters"),
        ("INTRODUCTION", "maybe", "must be 'on' or 'off'"),
        ("REPLY_TITLES", "maybe", "must be 'on' or 'off'"),
    ],
)
def test_a_wrong_value_is_explained(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    """With the name of its variable."""
    (tmp_path / ".env").write_text(f'{name}="{value}"\n')
    with pytest.raises(WrongConfig) as wrong:
        read([Config], tmp_path / ".env")
    [problem] = wrong.value.problems
    assert problem.startswith(f"{name}: ")
    assert sentence in problem


def test_bots_are_named_by_their_ids(tmp_path: Path) -> None:
    """Of both platforms, with commas or blanks between; the name of whoever runs the bot is on one line."""
    (tmp_path / ".env").write_text('ACCESS_BOTS=B0CI, A0CI 175928847299117063\nOPERATOR="The team\\n(#help)"\n')
    config = read([Config], tmp_path / ".env").of(Config)
    assert config.access_bots == ("B0CI", "A0CI", "175928847299117063")
    assert config.operator == "The team (#help)"
