"""The cases of `make bench-live`: where how many replies run, under which limits, and with which targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bots.sandbox.discord.limits import DISCORD_LIMITS, DiscordLimit
from bots.sandbox.slack.methods import limits as slack_limits
from bots.sandbox.slack.methods.limits import SLACK_LIMITS
from tests.bench.live_ideal import Budget, Stream
from tests.bench.live_scene import DISCORD_HALVED, SLACK_HALVED, ShownReply
from tests.bench.wire import AskKind

Limit = DiscordLimit | slack_limits.SlackLimit

# "1 per second per channel" (docs.slack.dev/apis/web-api/rate-limits); the sandbox lets short bursts through.
SLACK_POST = slack_limits.SlackLimit(1, 1.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """The targets of a case. Times are in seconds; None: no target."""

    ratio: float | None  # mean age relative to the ideal's
    final: float  # for every reply: from its last token to its complete text
    mean_final: float | None = None
    refused: int = 0  # 429s in total


@dataclass(frozen=True, slots=True)
class LiveCase:
    """One run. `post` and `edit` are the ideal pacer's limits, for one reply or, with `shared`, for all of them
    together.

    `together`: all replies in one channel; the assistant is then asked directly, because the intake runs the turns of a
    channel one after the other. `streaming`: the value of the setting with this name. `method`: a call that the run
    must make, as otherwise it measured something else. `halved`: seconds after which Discord and Slack accept about
    half as many edits, without any notice; the ideal has the lower limit from the start.
    """

    title: str
    event: AskKind
    replies: int
    goal: Goal
    post: Limit
    edit: Limit
    shared_post: bool = False
    shared_edit: bool = False
    together: bool = False
    replicas: int = 1
    streaming: str = ""
    method: str = ""
    halved: float = 0.0
    pace: float = 60.0
    tokens: int = 600

    @property
    def patience(self) -> float:
        """How many seconds to wait for the complete texts: longer than the target, so that a miss can be measured."""
        return self.goal.final + 25

    def streams(self, replies: Sequence[ShownReply]) -> list[Stream]:
        """The replies as the ideal pacer sees them."""
        return [
            Stream(
                reply.written,
                _budget("post", self.post, number, self.shared_post),
                _budget("edit" if self.post is not self.edit else "post", self.edit, number, self.shared_edit),
                reply.starts,
            )
            for number, reply in enumerate(replies)
        ]


def _budget(name: str, limit: Limit, number: int, shared: bool) -> Budget:
    return Budget(name if shared else f"{name}/{number}", limit.calls, limit.seconds)


def _discord(
    title: str,
    replies: int,
    goal: Goal,
    *,
    event: AskKind = AskKind.DISCORD,
    together: bool = False,
    halved: float = 0.0,
) -> LiveCase:
    """Discord counts posts and edits per channel, and those of a command per token."""
    post, edit = DISCORD_LIMITS.post, DISCORD_HALVED if halved else DISCORD_LIMITS.edit
    if event is AskKind.DISCORD_SLASH:
        post = edit = DISCORD_LIMITS.webhook
    assert post
    assert edit
    return LiveCase(title, event, replies, goal, post, edit, together, together, together, halved=halved)


def _slack(
    title: str,
    replies: int,
    goal: Goal,
    *,
    replicas: int = 1,
    halved: float = 0.0,
    pace: float = 60.0,
) -> LiveCase:
    """Slack counts edits per workspace and new messages per channel."""
    return LiveCase(
        title,
        AskKind.SLACK,
        replies,
        goal,
        SLACK_POST,
        SLACK_HALVED if halved else SLACK_LIMITS["chat.update"],
        shared_edit=True,
        replicas=replicas,
        streaming="edit",
        method="chat.update",
        halved=halved,
        pace=pace,
    )


def _native(title: str, replies: int, goal: Goal) -> LiveCase:
    """Slack counts the starts and appends of streams per workspace."""
    post, edit = SLACK_LIMITS["chat.startStream"], SLACK_LIMITS["chat.appendStream"]
    case = LiveCase(title, AskKind.SLACK_DIRECT, replies, goal, post, edit, shared_post=True, shared_edit=True)
    return replace(case, streaming="auto", method="chat.appendStream")


LIVE_CASES: dict[str, LiveCase] = {
    "discord-1": _discord("Discord, 1 reply", 1, Goal(1.25, 0.4)),
    "discord-4": _discord("Discord, 4 replies in one channel", 4, Goal(1.25, 5, 3), together=True),
    "discord-8": _discord("Discord, 8 replies in one channel", 8, Goal(1.35, 10), together=True),
    "discord-20": _discord("Discord, 20 channels at once", 20, Goal(1.35, 0.6)),
    "discord-ask": _discord("Discord, /ask", 1, Goal(1.25, 0.4), event=AskKind.DISCORD_SLASH),
    "discord-halved": _discord("Discord, edits 5 → 2 per 5 s after 3 s", 1, Goal(None, 6, refused=2), halved=3.0),
    "slack-1": _slack("Slack edits, 1 reply", 1, Goal(1.3, 0.5)),
    "slack-5": _slack("Slack edits, 5 replies", 5, Goal(1.3, 5)),
    "slack-20": _slack("Slack edits, 20 replies", 20, Goal(1.3, 20 * 1.2)),
    # Long enough for two processes that don't know of each other to reach the limit: at twice the rate, after 30 s.
    "slack-replicas": _slack("Slack edits, 6 replies of 40 s, two replicas", 6, Goal(1.4, 6), replicas=2, pace=15),
    "native-1": _native("Slack native, 1 reply", 1, Goal(1.3, 0.5)),
    "native-5": _native("Slack native, 5 replies", 5, Goal(1.3, 5)),
    # At an even rate the 25th call comes after 30 s, and the window has room again after 60 s: the replies must last
    # longer than the former and end within 30 s of the latter.
    "slack-halved": _slack(
        "Slack edits, 8 replies, 50 → 25 per minute after 10 s", 8, Goal(None, 30, refused=2), halved=10.0, pace=40 / 3
    ),
}
