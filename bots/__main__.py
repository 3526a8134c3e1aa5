"""`python -m bots` is `nebula-bot`."""

import sys

from bots.cli import main

sys.exit(main())
