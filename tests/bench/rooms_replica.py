"""The program for `make bench-rooms`, which takes Slack's limits for those of many workspaces, as that bench's Slack
has them: one workspace alone allows no more than five answers a second. Its argument is their number."""

import sys

from bots.cli import main
from bots.slack.outbound import surface

if __name__ == "__main__":
    workspaces = int(sys.argv[1])
    surface.ALL_POSTS *= workspaces
    surface.EDITS *= workspaces
    sys.exit(main(["run"]))
