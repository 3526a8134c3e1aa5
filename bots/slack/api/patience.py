"""Patience: how long Slack is kept waiting for what it wants an answer to within three seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `names`: how long looking up names may hold up a question, which then goes on without them. `form`: how
    long what came of a submitted form may take until the form is closed without it (docs.slack.dev/surfaces/modals);
    looking up a name may have taken a second before."""

    names: float = 1.0
    form: float = 1.7


PATIENCE = Patience()
