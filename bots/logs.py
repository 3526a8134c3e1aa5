"""Logging to standard error: one line per event, and only warnings and errors from libraries."""

import logging


def configure(level: str) -> None:
    """Set up logging for this process. `level` is for our own loggers; libraries log from WARNING upwards."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    for name in ("core", "bots"):
        logging.getLogger(name).setLevel(level)
