"""Several bots of one operator: on one machine and one Redis, in one workspace, each with its own name and command."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS
from bots.sandbox.slack.server import SlackServer
from tests.bounds import HANG_SECONDS
from tests.scenarios.test_program import logged
from tests.scenarios.warm import started


async def remembered(redis: Redis, bots: int) -> None:
    """Wait until so many bots have a history: an answer is complete on screen before it is remembered."""
    async with asyncio.timeout(HANG_SECONDS):
        while len([key async for key in redis.scan_iter("*:h:slack/*")]) < bots:
            await asyncio.sleep(0.01)


async def test_two_bots_share_a_workspace_and_a_redis(tmp_path: Path, redis_url: str, redis_client: Redis) -> None:
    """Each is run in its own folder, answers to its own command, and knows nothing of what was said to the other."""
    async with AsyncExitStack() as stack:
        nebula = await stack.enter_async_context(NebulaServer())
        for name, app, command in (("nebula", "NEBULA", "/nebula"), ("tutor", "TUTOR", "/tutor")):
            slack = await stack.enter_async_context(SlackServer(bot_name=name, app=app, limits=NO_SLACK_LIMITS))
            ann = slack.add_user("ann")
            general = slack.add_channel("general", ann)
            (tmp_path / name).mkdir()
            process = await stack.enter_async_context(
                started(
                    tmp_path / name,
                    "run",
                    NEBULA_API_KEY="ak_1",
                    NEBULA_BASE_URL=nebula.base_url,
                    NEBULA_PLATFORM_URL=nebula.platform_url,
                    SLACK_BOT_TOKEN=slack.bot_token,
                    SLACK_APP_TOKEN=slack.app_token,
                    SLACK_API_URL=slack.api_url,
                    REDIS_URL=redis_url,
                )
            )
            log = await logged(process, "Slack: connected")
            await slack.slash(ann, general, command, f"ask I speak to {name}")
            await slack.until(lambda: any(name in m.shown for m in slack.messages(general) if m.bot))  # noqa: B023
            await remembered(redis_client, 1 + (name == "tutor"))
            await slack.say(ann, general, f"@{name} again")
            await slack.until(lambda: any("again" in m.shown for m in slack.messages(general) if m.bot))  # noqa: B023
        assert "another bot used this Redis first" in log  # of the second one
        told = "\n".join(message.content for message in nebula.requests[-1].messages)
        assert "I speak to tutor" in told
        assert "I speak to nebula" not in told
