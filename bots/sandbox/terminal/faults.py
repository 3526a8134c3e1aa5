"""Faults of the sandbox's servers that a person can switch on by name."""

from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods.faults import rate_limited, server_error, slow
from bots.sandbox.slack.server import SlackServer

_DISCORD_EDITS = ("PATCH /channels/*", "PATCH /webhooks/*")
_SLACK_EDITS = "chat.update"


class FaultSwitches:
    """Switches faults of both platforms and of the fake model."""

    def __init__(self, slack: SlackServer, discord: DiscordServer, model: NebulaServer | None) -> None:
        self._slack, self._discord, self._model = slack, discord, model

    def switch(self, name: str) -> str:
        """Switch on the fault with this name, or all faults off with `off`. Returns a sentence about the effect."""
        match name:
            case "429":
                self._slack.faults.add(_SLACK_EDITS, rate_limited(2), times=2)
                for route in _DISCORD_EDITS:
                    self._discord.faults.rate_limit(route, 2, times=2)
                return "The platform refuses the next two edits for 2 s each."
            case "500":
                self._slack.faults.add(_SLACK_EDITS, server_error(500), times=2)
                for route in _DISCORD_EDITS:
                    self._discord.faults.error(route, 500, times=2)
                return "The next two edits fail."
            case "slow":
                self._slack.faults.add(_SLACK_EDITS, slow(3), times=None)
                for route in _DISCORD_EDITS:
                    self._discord.faults.slow(route, 3, times=None)
                return "Every edit takes 3 s, until `:fault off`."
            case "redeliver":
                self._slack.redeliver(1)
                self._discord.gateway.duplicate = 2
                return "Every event arrives twice, until `:fault off`."
            case "drop":
                self._slack.drop_sockets()
                self._discord.gateway.drop()
                return "The connections are broken; the bot reconnects by itself."
            case "off":
                return self._off()
            case _:
                return self._of_model(name)

    def _of_model(self, name: str) -> str:
        faults = {
            "cut": NebulaFault(cut_after=20),
            "stall": NebulaFault(stall_after=20),
            "busy": NebulaFault(status=503, body="{}"),
        }
        if name not in faults:
            return "There is no such fault. `:help` lists them."
        if self._model is None:
            return "That fault needs the stand-in model, but the real Nebula answers."
        self._model.fault(faults[name], times=None if name == "busy" else 1)
        return {
            "cut": "The next answer breaks off in the middle.",
            "stall": "The next answer stalls in the middle and never continues.",
            "busy": "The model refuses every request, until `:fault off`.",
        }[name]

    def _off(self) -> str:
        self._slack.faults.clear()
        self._slack.redeliver(0)
        self._discord.faults.clear()
        self._discord.gateway.duplicate = 1
        if self._model:
            self._model.heal()
        return "All faults are off."
