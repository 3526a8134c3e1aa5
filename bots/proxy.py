"""The proxy that the environment names for an address; neither SDK looks at NO_PROXY by itself."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The address of the proxy, None for a direct way. A WebSocket goes the way of HTTP(S)."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    return getproxies().get(scheme)
