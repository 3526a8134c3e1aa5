"""Checks that a request over HTTP comes from Slack, before anything reads it."""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping

# How much older or newer than our clock a request may be (docs.slack.dev/authentication/verifying-requests-from-slack).
MAX_AGE_SECONDS = 300.0
# Seconds since 1970; more digits are no time.
_TIME = re.compile("[0-9]{1,12}")


def signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether Slack signed this body lately with the secret that it shares with us; never raises."""
    moment = headers.get("X-Slack-Request-Timestamp", "")
    if not _TIME.fullmatch(moment) or abs(time.time() - int(moment)) > MAX_AGE_SECONDS:
        return False
    digest = hmac.new(secret.encode(), b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    given = headers.get("X-Slack-Signature", "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(f"v0={digest}".encode(), given)
