"""Runs `nebula-bot` as `python -m bots`."""

import sys

from bots.cli import main

sys.exit(main())
