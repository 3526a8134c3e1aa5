"""Logging to standard error: one line an event; libraries speak only of trouble."""

import logging

import stamina.instrumentation


def configure(level: str) -> None:
    """Set up logging for this process. Our own loggers take `level`; libraries warn at least."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    stamina.instrumentation.set_on_retry_hooks([])  # who retries says so itself, with the cause
    for name in ("core", "bots"):
        logging.getLogger(name).setLevel(level)
