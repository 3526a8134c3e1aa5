"""Time limits for requests that Slack expects an answer to within three seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits in seconds. `names`: how long name lookups may delay a question, which then proceeds without names.
    `form`: how long a submitted form waits for its outcome before it closes without (docs.slack.dev/surfaces/modals); a
    name lookup before it may already have taken a second."""

    names: float = 1.0
    form: float = 1.7


PATIENCE = Patience()
