"""What `setup` asks, in this order: pure values, which the wizard reads out."""

from bots.discord import permissions
from bots.setup import checks
from bots.setup.part import SetupPart, SetupQuestion
from bots.slack.manifest import creation_link

NEBULA = SetupPart(
    "Nebula",
    "The models answer through your account at Nebula Block.",
    (
        SetupQuestion(
            "NEBULA_API_KEY",
            "the key of the account that pays for the answers",
            "https://nebulablock.com → API Keys; it begins with ak_",
            secret=True,
            check=checks.nebula_key,
        ),
        SetupQuestion(
            "NEBULA_MODEL",
            "the model that answers until a channel chooses another",
            "Nebula's list has the names; in the chat, `model list` shows it",
            check=checks.nebula_model,
        ),
    ),
)

_SLACK = """\
Create the app; in many workspaces an admin has to approve it.

{manifest}

  1. Open this link. Slack's page for a new app comes with the manifest above filled in: choose the workspace, and go on
     to Create. (By hand: https://api.slack.com/apps → Create New App → From a manifest, and paste it as JSON.)

     {link}

  2. Install App → Install to Workspace. Copy the Bot User OAuth Token.
  3. Basic Information → App-Level Tokens → Generate Token and Scopes: a name of your choice, and the scope
     connections:write. Copy this token too. (The manifest has already switched Socket Mode on.)

`manifest slack --explain` says why the app asks for each scope; `setup --minimal` asks for fewer, and `setup --name
Tutor` is for a second app."""


def slack(manifest: str) -> SetupPart:
    """The questions about Slack, for an app with this manifest."""
    return SetupPart(
        "Slack",
        _SLACK.format(manifest=manifest, link=creation_link(manifest)),
        (
            SetupQuestion(
                "SLACK_BOT_TOKEN",
                "the bot posts and reads with it",
                "Install App → Bot User OAuth Token; it begins with xoxb-",
                secret=True,
                check=checks.slack_bot_token,
            ),
            SetupQuestion(
                "SLACK_APP_TOKEN",
                "Slack sends events through a connection that the bot opens with it (Socket Mode): no public address",
                "Basic Information → App-Level Tokens; it begins with xapp-",
                secret=True,
                check=checks.slack_app_token,
                unless=("SLACK_SIGNING_SECRET", "SLACK_PORT"),
            ),
        ),
        switch="SLACK_BOT_TOKEN",
        first_words="in Slack, `/invite @{name}` in a channel and then `@{name} hello`",
    )


DISCORD = SetupPart(
    "Discord",
    f"""\
  1. Open https://discord.com/developers/applications → New Application. People see the name that you give it.
  2. Bot → Reset Token. Discord asks for your password or second factor, and shows the token only once: copy it.
     On the same page you may switch on Message Content Intent: with it the bot reads what others wrote in a thread that
     it is asked in, and people go on in their threads without a mention. It works without.
  3. Installation → Install Link → None, and then Bot → Public Bot off: otherwise anybody may add the bot to a server of
     theirs and spend your account there.

The bot asks a server for these permissions, and for no privileged right:

{permissions.explained()}""",
    (
        SetupQuestion(
            "DISCORD_TOKEN",
            "the bot signs in with it",
            "Bot → Reset Token",
            secret=True,
            check=checks.discord_token,
        ),
    ),
    switch="DISCORD_TOKEN",
    first_words="in Discord, a mention or /ask",
)

ACCESS = SetupPart(
    "Who may use it, and how much",
    "Every answer costs tokens of your account. These bounds can be changed in .env at any time.",
    (
        SetupQuestion(
            "ACCESS_ALLOW",
            "who may ask, and where: ids of workspaces, servers, channels, roles or people. If you name any, nothing "
            "else is allowed, on either platform",
            "none: everybody whom Slack or Discord lets reach the bot. These ids are known so far",
            optional=True,
            shows_ids=True,
            check=checks.access,
        ),
        SetupQuestion(
            "PERSON_TOKENS",
            "the most tokens that one person may use in a day; a question counts with the history that goes along",
            "off: no limit",
        ),
        SetupQuestion(
            "CHANNEL_TOKENS",
            "the same for one channel",
            "off: no limit",
        ),
    ),
)


def parts(manifest: str) -> tuple[SetupPart, ...]:
    """All parts of the set-up; `manifest`: of the app in Slack."""
    return (NEBULA, slack(manifest), DISCORD, ACCESS)
