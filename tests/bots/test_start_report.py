"""The report of a start, where something is missing: it waits for what comes, but not for ever."""

import asyncio
import logging

import pytest

from bots.adapter import Adapter, Examination
from bots.discord.app import Discord
from bots.doctor import start
from bots.doctor.look import FirstLook
from bots.slack.app import Slack
from core.domain.chat import ModelInfo
from core.finding import well
from tests.configuration import configured


async def offered() -> tuple[ModelInfo, ...]:
    """The models on offer."""
    return (ModelInfo("m"),)


async def test_what_does_not_come_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A platform that is not connected, and a Nebula that does not answer, are said to be so."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(start, "REPORT_SECONDS", 0.0)
    sections = configured(slack_bot_token="xoxb-1", slack_app_token="xapp-1", discord_token="d")
    platforms: list[Adapter] = [Slack(sections.slack), Discord(sections.discord)]
    await start.report([well("Redis", "fine")], FirstLook(), platforms, Examination())
    assert caplog.messages == [
        "what this start found:",
        "✓ Redis: fine",
        "! Nebula: has not answered yet",
        "! Slack: is not connected yet",
        "! Discord: is not connected yet",
    ]


async def test_the_report_waits_for_nebula_and_the_platforms(caplog: pytest.LogCaptureFixture) -> None:
    """It is written once all of them are known."""
    caplog.set_level(logging.INFO)
    platform = Slack(configured(slack_bot_token="xoxb-1", slack_app_token="xapp-1").slack)
    look = FirstLook()
    reporting = asyncio.create_task(start.report([], look, [platform], Examination()))
    await look.run(offered, "m")
    platform.ready.set()
    await reporting
    assert "is not connected yet" not in caplog.text
    assert "has not answered yet" not in caplog.text
    assert "✓ Nebula: key accepted, 1 model, m among them" in caplog.messages


async def test_what_is_wrong_with_nebula_is_said_also_after_the_report(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A list of models that comes late, without the model that shall answer."""
    monkeypatch.setattr(start, "REPORT_SECONDS", 0.0)
    look = FirstLook()
    await start.report([], look, [], Examination())
    await look.run(offered, "gpt-x")
    assert any("gpt-x" in line for line in caplog.messages)


async def test_what_is_wrong_with_nebula_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """By the report, where that comes later than the list of models."""
    look = FirstLook()
    await look.run(offered, "gpt-x")
    await start.report([], look, [], Examination())
    assert len([line for line in caplog.messages if "gpt-x" in line]) == 1
