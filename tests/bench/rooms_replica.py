"""The program for `make bench-rooms`, which takes Slack's limits for those of many workspaces, as that bench's Slack
has them: one workspace alone allows no more than five answers a second."""

import sys

from bots.cli import main
from bots.slack.outbound import surface

ROOMS_WORKSPACES = 20

if __name__ == "__main__":
    surface.ALL_POSTS *= ROOMS_WORKSPACES
    surface.EDITS *= ROOMS_WORKSPACES
    sys.exit(main(["run"]))
