"""The configuration: defaults, both names of the key, and every problem at once."""

import re
from pathlib import Path

import pytest

from core.settings.config import Config, WrongConfig, load

OURS = tuple(field.upper() for field in Config.model_fields)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OURS, "NEBULA_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def problems(tmp_path: Path, text: str) -> str:
    env = tmp_path / ".env"
    env.write_text(text)
    with pytest.raises(WrongConfig) as wrong:
        load(env)
    return "\n".join(wrong.value.problems)


def test_the_defaults_are_valid() -> None:
    """Without any variable the documented defaults apply, and no platform is on."""
    config = load(None)
    assert config.nebula_base_url == "https://inference.nebulablock.com/v1"
    assert config.slack_api_url == "https://slack.com/api/"
    assert not config.has_slack
    assert not config.has_discord
    assert not config.given("nebula_model")


@pytest.mark.parametrize("name", ["NEBULA_API_KEY", "NEBULA_API_TOKEN"])
def test_both_names_of_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API page uses both names."""
    monkeypatch.setenv(name, "ak_1")
    key = load(None).nebula_api_key
    assert key
    assert key.get_secret_value() == "ak_1"


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell or container sets wins over .env; an empty value counts as unset."""
    (tmp_path / ".env").write_text("NEBULA_MODEL=from-file\nNEBULA_TOP_P=\nLOG_LEVEL=debug\n")
    monkeypatch.setenv("NEBULA_MODEL", "from-env")
    config = load(tmp_path / ".env")
    assert (config.nebula_model, config.nebula_top_p, config.log_level) == ("from-env", None, "DEBUG")
    assert config.given("nebula_model")


def test_every_problem_at_once(tmp_path: Path) -> None:
    """One start shows everything that needs fixing, and says what to do about each."""
    found = problems(
        tmp_path,
        "NEBULA_TEMPERATURE=hot\nNEBULA_TOP_P=7\nREDIS_URL=localhost\nSLACK_BOT_TOKEN=xapp-1\n"
        "NEBULA_MODLE=x\nDISCORD_TOKEN=t\nLOG_LEVEL=loud\n",
    )
    for name in ("NEBULA_TEMPERATURE", "NEBULA_TOP_P", "REDIS_URL", "SLACK_BOT_TOKEN", "LOG_LEVEL"):
        assert f"{name}: it must be" in found or f"{name}: given was not" in found, (name, found)
    assert "did you mean NEBULA_MODEL?" in found
    assert "SLACK_APP_TOKEN is missing" in found
    assert "NEBULA_API_KEY is missing" in found


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """A token in the wrong place is named, not printed; the configuration does not show any either."""
    assert "verysecret" not in problems(
        tmp_path, "NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xapp-verysecret\nSLACK_APP_TOKEN=xapp-1"
    )
    (tmp_path / ".env").write_text("NEBULA_API_KEY=ak_verysecret")
    assert "verysecret" not in repr(load(tmp_path / ".env"))


@pytest.mark.parametrize(
    ("half", "other"), [("SLACK_PORT=3000", "SLACK_SIGNING_SECRET"), ("SLACK_SIGNING_SECRET=s", "SLACK_PORT")]
)
def test_a_missing_http_variable_is_named(tmp_path: Path, half: str, other: str) -> None:
    """If only one of the two variables for HTTP is set, the other one is reported as missing."""
    found = problems(tmp_path, f"NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xoxb-1\n{half}\n")
    assert f"{other} is missing" in found
    assert "SLACK_APP_TOKEN" not in found


def test_unknown_managers_are_named(tmp_path: Path) -> None:
    """A typing error in the list of managers is found at the start, for both platforms at once; ids are accepted."""
    found = problems(tmp_path, "SLACK_MANAGERS=admin, U012AB3CD\nDISCORD_MANAGERS=boss, 123456\n")
    assert "SLACK_MANAGERS: admin is not known" in found
    assert "DISCORD_MANAGERS: boss is not known" in found


def test_slack_over_http_needs_no_app_token(tmp_path: Path) -> None:
    """With a signing secret and a port, Slack sends its events to us."""
    (tmp_path / ".env").write_text(
        "NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xoxb-1\nSLACK_SIGNING_SECRET=s\nSLACK_PORT=3000\n"
    )
    assert load(tmp_path / ".env").slack_over_http


@pytest.mark.parametrize("address", ["redis+sentinel://one,two/main", "rediss+cluster://one:7000,two:7001"])
def test_redis_behind_sentinels_or_in_a_cluster(tmp_path: Path, address: str) -> None:
    """Addresses of several servers are accepted, other schemes are not."""
    (tmp_path / ".env").write_text(f"REDIS_URL={address}\nREDIS_PARTITIONS=64\n")
    config = load(tmp_path / ".env")
    assert (config.redis_url, config.redis_partitions) == (address, 64)
    found = problems(tmp_path, "REDIS_URL=sentinel://one/main\nREDIS_PARTITIONS=0\n")
    assert "REDIS_URL: it must begin with redis:// or rediss://" in found
    assert "REDIS_PARTITIONS: it must be greater than or equal to 1" in found


def test_example_shows_the_defaults() -> None:
    """A default in .env.example is the one in effect without it."""
    lines = (Path(__file__).parents[3] / ".env.example").read_text().splitlines()
    for name, shown in (line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"# [A-Z_]+=.", line)):
        default = Config.model_fields[name.lower()].default
        known = (
            ", ".join(default)
            if isinstance(default, tuple)
            else f"{default:g}"
            if isinstance(default, float)
            else default
        )
        assert str(known) == shown, name


def test_tiers_are_written_as_the_provider_writes_them(tmp_path: Path) -> None:
    """Nebula writes "Engineer 1"; a limit of zero makes no sense."""
    env = tmp_path / ".env"
    env.write_text("NEBULA_TIER=Engineer 1\nPERSON_REQUESTS=20\n")
    config = load(env)
    assert (config.nebula_tier, config.person_requests, config.channel_tokens) == ("engineer1", 20, None)
    assert "PERSON_REQUESTS: it must be" in problems(tmp_path, "PERSON_REQUESTS=0\n")
