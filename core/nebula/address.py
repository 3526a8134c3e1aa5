"""Where the API is: what is probably wrong with an address at which it does not answer, and why nothing answers there.

Each sentence names the variable, and quotes no part of an address that may hold a user and a password.
"""

import socket
import ssl
from itertools import pairwise
from urllib.parse import urlsplit

import httpx

VARIABLE = "NEBULA_BASE_URL"
USUAL_END = "/v1"
# What people copy along with the base of the API.
_ENDS = ("/chat/completions", "/completions", "/chat", "/models", "/embeddings", "/responses")


def base_of(url: str) -> str:
    """The base of the API: one sample of the API page gives the address of a method as the base."""
    return url.strip().rstrip("/").removesuffix("/chat/completions")


def wrong_path(url: str, status: int = 404) -> str:
    """A sentence about an address where something else than the API answers, with this status."""
    parts = urlsplit(url)
    if 300 <= status < 400 and parts.scheme == "http":
        return f"{VARIABLE} leads to another address: begin it with https://"
    if ended := next((each for each in _ENDS if parts.path.endswith(each)), ""):
        return f"{VARIABLE} must end before {ended}"
    names = [name for name in parts.path.split("/") if name]
    if doubled := next((name for name, after in pairwise(names) if name == after), ""):
        return f"{VARIABLE} has /{doubled} twice: leave one out"
    if "v1" not in names:
        return f"{VARIABLE} lacks the {USUAL_END} with which it usually ends"
    return f"{VARIABLE} leads to something else than the API: check it, up to its end (usually {USUAL_END})"


def unreachable(url: str, error: BaseException) -> tuple[str, bool]:
    """Why no response came from an address, from what the HTTP library raised; and whether nothing answers there at
    all, so that the address may be wrong."""
    causes = _causes(error)
    kind = type(error.__cause__ or error).__name__
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = str(getattr(cause, "verify_message", "")) or "it is not trusted"
            return f"the server's certificate is refused ({why}): check the host in {VARIABLE}, and the clock", True
        if isinstance(cause, ssl.SSLError):
            return f"the server does not speak TLS ({kind}): check the port in {VARIABLE}, or write http://", True
        if isinstance(cause, socket.gaierror):
            return f"the name of the host in {VARIABLE} is not known (DNS)", True
        if isinstance(cause, ConnectionRefusedError):
            return f"nobody listens at the host and port in {VARIABLE} (connection refused)", True
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"{VARIABLE} is no address ({kind})", True
    if isinstance(error, httpx.ConnectTimeout) and isinstance(causes[-1], TimeoutError):
        return f"the host in {VARIABLE} does not answer ({kind})", True
    hint = "" if url.lower().startswith("https") else f": if it expects TLS, begin {VARIABLE} with https://"
    return f"the connection was lost ({kind}){hint}", False


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it came from, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found and len(found) < 10:
        found.append(error)
        inner = getattr(error, "os_error", None)  # aiohttp keeps what the system said here
        error = error.__cause__ or error.__context__ or (inner if isinstance(inner, BaseException) else None)
    return found
