"""The bot with this platform in its table, beside its own."""

import sys

from bots.adapter import Adapter
from bots.cli import main
from bots.platforms import PLATFORMS, Entry
from tests.bots.campfire.config import CampfireConfig


def build(config: CampfireConfig) -> Adapter:
    """Import the adapter only if it is used."""
    from tests.bots.campfire.app import Campfire

    return Campfire(config)


sys.exit(main(platforms=(*PLATFORMS, Entry(CampfireConfig, build))))
