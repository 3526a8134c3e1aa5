"""The configuration: defaults, both names of the key, and every problem at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bots.adapter import Adapter, AdapterConfig
from bots.cli import main
from bots.discord.config import DiscordConfig
from bots.platforms import Entry, load, look_through, sections, switched_on
from bots.slack.config import SlackConfig
from core.domain.errors import StoreError
from core.finding import Verdict
from core.settings.config import Config
from core.settings.environment import WrongConfig, variables
from tests.bots.campfire.config import CampfireConfig


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables(sections()):
        monkeypatch.delenv(name, raising=False)


def problems(tmp_path: Path, text: str) -> str:
    env = tmp_path / ".env"
    env.write_text(text)
    with pytest.raises(WrongConfig) as wrong:
        load(env)
    return "\n".join(wrong.value.problems)


def test_the_defaults_are_valid() -> None:
    """Without any variable the documented defaults apply, and no platform is on."""
    environment = load(None)
    config = environment.of(Config)
    assert config.nebula_base_url == "https://inference.nebulablock.com/v1"
    assert environment.of(SlackConfig).slack_api_url == "https://slack.com/api/"
    assert not environment.of(SlackConfig).on
    assert not environment.of(DiscordConfig).on
    assert not switched_on(environment)
    assert not config.given("nebula_model")


@pytest.mark.parametrize("name", ["NEBULA_API_KEY", "NEBULA_API_TOKEN"])
def test_both_names_of_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API page uses both names."""
    monkeypatch.setenv(name, "ak_1")
    key = load(None).of(Config).nebula_api_key
    assert key
    assert key.get_secret_value() == "ak_1"


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell or container sets wins over .env; an empty value counts as unset."""
    (tmp_path / ".env").write_text("NEBULA_MODEL=from-file\nNEBULA_TOP_P=\nLOG_LEVEL=debug\n")
    monkeypatch.setenv("NEBULA_MODEL", "from-env")
    config = load(tmp_path / ".env").of(Config)
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


def test_names_of_others_are_nobodys_business(tmp_path: Path) -> None:
    """They may stand in the same file."""
    found = problems(tmp_path, "SLACK_TOKEN=xoxb-1\nPOSTGRES_PASSWORD=x\nREDIS_PASSWORD=x\n")
    assert "did you mean SLACK_BOT_TOKEN?" in found
    assert "PASSWORD" not in found


@pytest.mark.parametrize("content", ["NEBULA_SYSTEM_PROMPT=grüße\n".encode("latin-1"), "A=1".encode("utf-16"), None])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Of another encoding, or a directory, as Docker makes one for a missing file."""
    env = tmp_path / ".env"
    env.mkdir() if content is None else env.write_bytes(content)
    with pytest.raises(WrongConfig) as wrong:
        load(env)
    assert str(env) in str(wrong.value)


def test_blanks_are_no_value(tmp_path: Path) -> None:
    """A token of blanks switches no platform on. A byte order mark hides no name."""
    env = tmp_path / ".env"
    env.write_text('NEBULA_MODEL=m\nDISCORD_TOKEN="  "\nNEBULA_TOP_P=" "\n', encoding="utf-8-sig")
    environment = load(env)
    assert not switched_on(environment)
    assert environment.of(Config).nebula_model == "m"


def test_tokens_as_people_copy_them(tmp_path: Path) -> None:
    """Discord's with the word that goes before it in a request; Slack's that expires is refused in words."""
    env = tmp_path / ".env"
    env.write_text("NEBULA_API_KEY=ak\nDISCORD_TOKEN=Bot abc.def \n")
    token = load(env).of(DiscordConfig).discord_token
    assert token
    assert token.get_secret_value() == "abc.def"
    found = problems(tmp_path, "NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xoxe.xoxb-1\nSLACK_APP_TOKEN=xapp-1\n")
    assert "SLACK_BOT_TOKEN: it must be a token that does not expire" in found


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """A token in the wrong place is named, not printed; the configuration does not show any either."""
    assert "verysecret" not in problems(
        tmp_path, "NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xapp-verysecret\nSLACK_APP_TOKEN=xapp-1"
    )
    (tmp_path / ".env").write_text("NEBULA_API_KEY=ak_verysecret")
    environment = load(tmp_path / ".env")
    assert "verysecret" not in repr(environment) + repr([environment.of(each) for each in sections()])


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
    assert "SLACK_MANAGERS: word 1 is not known" in found
    assert "DISCORD_MANAGERS: word 1 is not known" in found


def test_slack_over_http_needs_no_app_token(tmp_path: Path) -> None:
    """With a signing secret and a port, Slack sends its events to us."""
    (tmp_path / ".env").write_text(
        "NEBULA_API_KEY=ak\nSLACK_BOT_TOKEN=xoxb-1\nSLACK_SIGNING_SECRET=s\nSLACK_PORT=3000\n"
    )
    assert load(tmp_path / ".env").of(SlackConfig).over_http


@pytest.mark.parametrize("address", ["redis+sentinel://one,two/main", "rediss+cluster://one:7000,two:7001"])
def test_redis_behind_sentinels_or_in_a_cluster(tmp_path: Path, address: str) -> None:
    """Addresses of several servers are accepted, other schemes are not."""
    (tmp_path / ".env").write_text(f"REDIS_URL={address}\nREDIS_PARTITIONS=64\n")
    config = load(tmp_path / ".env").of(Config)
    assert (config.redis_url, config.redis_partitions) == (address, 64)
    found = problems(tmp_path, "REDIS_URL=sentinel://one/main\nREDIS_PARTITIONS=0\n")
    assert "REDIS_URL: it must begin with redis:// or rediss://" in found
    assert "REDIS_PARTITIONS: it must be greater than or equal to 1" in found


def test_example_shows_the_defaults() -> None:
    """A default in .env.example is the one in effect without it."""
    fields = {name: field for each in sections() for name, field in each.model_fields.items()}
    lines = (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    for name, shown in (line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"# [A-Z_]+=.", line)):
        default = fields[name.lower()].default
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
    config = load(env).of(Config)
    assert (config.nebula_tier, config.person_requests, config.channel_tokens) == ("engineer1", 20, 2_000_000)
    assert "PERSON_REQUESTS: it must be" in problems(tmp_path, "PERSON_REQUESTS=0\n")


def test_limits_of_people_are_on_until_they_are_switched_off(tmp_path: Path) -> None:
    """A mistake, or somebody who never stops asking, stays cheap on the first day."""
    env = tmp_path / ".env"
    env.write_text("PERSON_TOKENS=off\n")
    config = load(env).of(Config)
    assert (config.person_tokens, config.channel_tokens) == (None, 2_000_000)


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """So one start can do without a setting, and without an edit of .env."""
    (tmp_path / ".env").write_text("NEBULA_MODEL=from-file\nHEALTH_PORT=8080\n")
    monkeypatch.setenv("HEALTH_PORT", blank)
    config = load(tmp_path / ".env").of(Config)
    assert (config.nebula_model, config.health_port) == ("from-file", None)


def test_the_second_name_of_the_key_counts_where_the_first_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copied .env.example has the first one without a value."""
    (tmp_path / ".env").write_text("NEBULA_API_KEY=\n")
    monkeypatch.setenv("NEBULA_API_TOKEN", "ak_1")
    key = load(tmp_path / ".env").of(Config).nebula_api_key
    assert key
    assert key.get_secret_value() == "ak_1"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SLACK_TOKEN=xoxb-verysecret", "did you mean SLACK_BOT_TOKEN?"),
        ("NEBULA_KEY=ak_verysecret", "did you mean NEBULA_API_KEY?"),
        ("DISCORD_BOT_TOKEN=x", "did you mean DISCORD_TOKEN?"),
        ("DISCORD=x", "is not a setting"),
        ("SLACK_APP=x", "is not a setting"),
        ("BOT=xoxb-verysecret", "did you mean SLACK_BOT_TOKEN?"),
        ("APP=xapp-verysecret", "did you mean SLACK_APP_TOKEN?"),
        ("OPENAI_API_KEY=ak_verysecret", "did you mean NEBULA_API_KEY?"),
        (f"TOKEN={'A' * 24}.verysec.{'A' * 30}", "did you mean DISCORD_TOKEN?"),
        ("NEBULA_API_KEY=xoxb-verysecret", "NEBULA_API_KEY: it looks like what belongs in SLACK_BOT_TOKEN"),
        ("DISCORD_TOKEN=ak_verysecret", "DISCORD_TOKEN: it looks like what belongs in NEBULA_API_KEY"),
        ("NEBULA_API_KEY=“ak_verysecret”", "NEBULA_API_KEY: it contains quotation marks"),
        ("NEBULA_API_KEY=ak_very secret", "NEBULA_API_KEY: it contains quotation marks, a space"),
        ("NEBULA_API_KEY ak_verysecret", "Line 1 of"),
        ("NEBULA_API_KEY: ak_verysecret", "can't be read: write NAME=value."),
        ("\n# x\nNEBULA_API_KEY", "Line 3 of"),
        ("NEBULA_BASE_URL=https://", "NEBULA_BASE_URL: it is no address"),
        ("NEBULA_BASE_URL=https://host:99999/v1", "NEBULA_BASE_URL: it is no address"),
        ("NEBULA_BASE_URL=https://host/v1?key=verysecret", "NEBULA_BASE_URL: it must end before the ?"),
        ("ACCESS_ALLOW=U1 xoxb-verysecret", "ACCESS_ALLOW: word 2 is not an id"),
        ("ACCESS_DENY=verysecret, U1, verysecret", "ACCESS_DENY: each of the words 1, 3 is not an id"),
        ("SLACK_MANAGERS=xoxb-verysecret", "SLACK_MANAGERS: word 1 is not known"),
        ("SLACK_BOT_TOKEN:xoxb-verysecret=1", "what stands before the = in .env is not a setting"),
    ],
)
def test_a_line_that_can_not_be_meant_so_is_named(tmp_path: Path, line: str, said: str) -> None:
    """By its variable or its number, with what to do, and never with a part of a secret."""
    found = problems(tmp_path, f"{line}\n")
    assert said in found
    assert "verysec" not in found.lower()


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("SLACK_TOKEN", "x", Verdict.BAD),
        ("DISCORD_BOT_TOKEN", "x", Verdict.BAD),
        ("ANYTHING", "xoxb-verysecret", Verdict.BAD),
        ("REPLY_STREAMNG", "edit", Verdict.BAD),
        ("DISCORD_OTHER_PROGRAM", "x", Verdict.NOTE),
    ],
)
def test_a_strange_name_in_the_environment_is_a_doubt(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, verdict: Verdict
) -> None:
    """Docker passes .env as the environment, which other programs share: the bot starts, and says so."""
    monkeypatch.setenv(name, value)
    (doubt,) = load(None).doubts
    assert doubt.verdict is verdict
    assert name in doubt.text
    assert "verysecret" not in doubt.text + doubt.mend


def test_a_token_that_is_known_already_may_have_other_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs may need it as well."""
    monkeypatch.setenv("NEBULA_API_KEY", "ak_1")
    monkeypatch.setenv("OTHERS_KEY", "ak_1")
    assert load(None).doubts == ()


def test_a_file_that_others_can_read_or_that_repeats_itself_is_a_doubt(tmp_path: Path) -> None:
    """Four secrets are in it; and of two values only one counts, which may not be the one that was meant."""
    env = tmp_path / ".env"
    env.write_text("NEBULA_MODEL=a\nLOG_LEVEL=INFO\nNEBULA_MODEL=b\nLOG_LEVEL=INFO\n")
    env.chmod(0o644)
    mode, repeated = load(env).doubts
    assert "mode 644" in mode.text
    assert mode.mend == f"chmod 600 {env}"
    assert "NEBULA_MODEL is set several times" in repeated.text
    assert "lines 1, 3" in repeated.text


def test_a_secret_that_stands_before_an_equals_sign_is_not_repeated(tmp_path: Path) -> None:
    """Keys in base64 end with one, and a key may have been broken into lines."""
    env = tmp_path / ".env"
    env.write_text("ENCRYPTION_KEYS=\nVerySecretKeyOf32BytesInBase64=\nVerySecretKeyOf32BytesInBase64==\n")
    env.chmod(0o600)
    (repeated,) = load(env).doubts
    assert "in the lines 2, 3" in repeated.text
    assert "VERYSECRET" not in repeated.text


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    """A link that leads nowhere, or a pipe, from which nobody may ever write."""
    env = tmp_path / ".env"
    env.symlink_to(tmp_path / "gone") if kind == "link" else os.mkfifo(env)
    with pytest.raises(WrongConfig) as wrong:
        load(env)
    assert str(env) in str(wrong.value)


def test_the_configuration_is_read_in_spite_of_problems(tmp_path: Path) -> None:
    """The doctor goes on, with the defaults in place of what is wrong."""
    env = tmp_path / ".env"
    env.write_text("NEBULA_TEMPERATURE=hot\nNEBULA_MODEL=m\nNEBULA_MODLE=x\n")
    reading = look_through(env)
    config = reading.environment.of(Config)
    assert (config.nebula_temperature, config.nebula_model) == (None, "m")
    assert len(reading.problems) == 2


def test_each_variable_has_one_owner() -> None:
    """Sections are read together, so that two owners of one name would get each other's value."""
    names = [name for each in sections() for name in variables([each])]
    assert len(names) == len(set(names))


def test_reading_the_configuration_loads_no_library_of_a_platform() -> None:
    """A platform without tokens costs nothing at the start; nor does `nebula-bot health` wait for any."""
    program = "import sys; from bots.platforms import load, adapters; adapters(load(None)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={})
    roots = {name.split(".")[0] for name in done.stdout.split()}
    assert "pydantic" in roots
    assert not roots & {"slack_bolt", "slack_sdk", "discord", "aiohttp", "redis", "httpx"}


def test_a_wrong_setting_counts_more_than_what_another_start_may_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several platforms may end at once, and both reasons are told."""

    def build(_: AdapterConfig) -> Adapter:
        raise ExceptionGroup("both", [WrongConfig(("A token is refused.",)), StoreError("Redis went away.")])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMPFIRE_TOKEN", "1")
    monkeypatch.setenv("CAMPFIRE_ROOM", "den")
    monkeypatch.setenv("NEBULA_API_KEY", "ak_1")
    assert main(["run"], [Entry(CampfireConfig, build)]) == 2
    told = capsys.readouterr().err
    assert "A token is refused." in told
    assert "Redis went away." in told
