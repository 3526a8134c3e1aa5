"""The variables of the Slack adapter."""

from collections.abc import Mapping, Set
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from bots.adapter import AdapterConfig
from core.domain.options import Switch
from core.settings.fields import LOWER, Http, Port, Words, managers


def _token(prefix: str, where: str) -> AfterValidator:
    """The prefix of a Slack token shows its kind; only a token of another kind is refused."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value().startswith(tuple({"xoxb-", "xapp-", "xoxp-"} - {prefix})):
            raise ValueError(f"it must be the token that begins with {prefix} ({where})")
        if value and value.get_secret_value().startswith("xoxe"):
            raise ValueError("it must be a token that does not expire: switch token rotation off for the app")
        return value

    return AfterValidator(check)


class SlackConfig(AdapterConfig):
    """What connects the bot to Slack; .env.example explains it."""

    title: ClassVar[str] = "Slack"
    tokens: ClassVar[str] = "SLACK_BOT_TOKEN + SLACK_APP_TOKEN"
    switch: ClassVar[str] = "slack_bot_token"
    channel_ids: ClassVar[str] = "[CGD][A-Z0-9]+"
    shapes: ClassVar[Mapping[str, str]] = {"SLACK_BOT_TOKEN": "xoxb-", "SLACK_APP_TOKEN": "xapp-"}

    slack_bot_token: Annotated[SecretStr | None, _token("xoxb-", "OAuth & Permissions → Bot User OAuth Token")] = None
    slack_app_token: Annotated[SecretStr | None, _token("xapp-", "Basic Information → App-Level Tokens")] = None
    slack_signing_secret: SecretStr | None = None
    slack_port: Port | None = None
    slack_host: str = "0.0.0.0"
    slack_sockets: int = Field(1, ge=1, le=10)
    slack_streams: Annotated[Switch, LOWER] = Switch.ON
    slack_statuses: int = Field(200, ge=0, le=10_000)
    slack_api_url: Http = "https://slack.com/api/"
    slack_managers: Annotated[Words, managers(r"(?i)[UW][A-Z0-9]*[0-9][A-Z0-9]*", "admins", "creators", "everyone")] = (
        "admins",
        "creators",
    )

    @property
    def over_http(self) -> bool:
        """Whether Slack sends events to us over HTTP; otherwise we open a socket."""
        return self.slack_signing_secret is not None and self.slack_port is not None

    @classmethod
    def incomplete(cls, given: Set[str]) -> list[str]:
        problems = []
        missing = {"SLACK_SIGNING_SECRET", "SLACK_PORT"} - given
        if "SLACK_APP_TOKEN" not in given and len(missing) == 1:
            problems.append(
                f"{missing.pop()} is missing: events over HTTP need both SLACK_SIGNING_SECRET and SLACK_PORT."
            )
        elif "SLACK_BOT_TOKEN" in given and "SLACK_APP_TOKEN" not in given and missing:
            problems.append(
                "SLACK_APP_TOKEN is missing: besides SLACK_BOT_TOKEN the bot needs the xapp- token (Socket Mode), "
                "or SLACK_SIGNING_SECRET and SLACK_PORT (HTTP)."
            )
        if "SLACK_APP_TOKEN" in given and "SLACK_BOT_TOKEN" not in given:
            problems.append(
                "SLACK_BOT_TOKEN is missing: with SLACK_APP_TOKEN alone the bot can't answer; add the xoxb- token."
            )
        return problems
