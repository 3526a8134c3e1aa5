"""Delivers events, commands and interactions to the app over Socket Mode or signed HTTP, and redelivers events."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Coroutine, Sequence
from urllib.parse import urlencode

import aiohttp

from bots.sandbox.slack.delivery.socket import Ack, SlackSockets
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Delivery, Json


class BackgroundTasks:
    """The tasks of a server. It is no TaskGroup because a test fixture enters and leaves the server in different
    tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a task until it ends or until `close`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Cancel the running tasks. Raises the failures of all tasks as an ExceptionGroup."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failures:
            raise ExceptionGroup("the sandbox's Slack failed", self._failures)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(problem := task.exception(), Exception):
            self._failures.append(problem)


class RequestUrl:
    """The app's request URL. Every POST carries a v0 signature. `timeout` is in seconds."""

    def __init__(self, url: str, secret: str, session: aiohttp.ClientSession, timeout: float) -> None:
        self._url = url
        self._secret = secret
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def send(self, kind: str, payload: Json, attempt: int, reason: str) -> Ack:
        """Send one POST: JSON for events, a form for commands and interactions."""
        if kind == "events_api":
            body, content_type = json.dumps(payload), "application/json"
        else:
            form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            body, content_type = urlencode(form), "application/x-www-form-urlencoded"
        headers = self._signed(body) | {"Content-Type": content_type}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        try:
            async with self._session.post(self._url, data=body, headers=headers, timeout=self._timeout) as response:
                text = await response.text()
                final = response.headers.get("X-Slack-No-Retry") == "1"
                if not 200 <= response.status < 300:
                    return Ack("http_error", final=final)
                if response.content_type != "application/json" or not text:
                    return Ack(body={"text": text} if text else {})
                answer = json.loads(text)
                return Ack(body=answer if isinstance(answer, dict) else {})
        except TimeoutError:
            return Ack("http_timeout")
        except ValueError:
            return Ack("http_error")
        except aiohttp.ClientError:
            return Ack("connection_failed")

    async def verify(self) -> bool:
        """Perform the url_verification handshake, as Slack does when the URL is entered in the app's settings."""
        ask = {"type": "url_verification", "token": "verification-token", "challenge": "sandbox-challenge"}
        ack = await self.send("events_api", ask, 0, "")
        return not ack.problem and "sandbox-challenge" in (ack.body.get("challenge"), ack.body.get("text"))

    def _signed(self, body: str) -> dict[str, str]:
        moment = str(int(time.time()))
        digest = hmac.new(self._secret.encode(), f"v0:{moment}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}"}


class Deliverer:
    """Delivers over HTTP if a request URL is set, otherwise over the sockets.

    `retry_delays` are the seconds before each redelivery of an event that was not acknowledged (at once, 1 min and 5
    min in the Events API); `redeliveries`: how many more copies of every later event to send, acknowledged or not.
    """

    def __init__(self, ws: Workspace, sockets: SlackSockets, retry_delays: Sequence[float]) -> None:
        self.http: RequestUrl | None = None
        self.redeliveries = 0
        self.retry_delays = tuple(retry_delays)
        self.background = BackgroundTasks()
        self.open = 0  # events neither acknowledged nor given up yet
        self._ws = ws
        self._sockets = sockets

    def event(self, body: Json) -> None:
        """Deliver an event in the background."""
        self.open += 1
        self.background.spawn(self._event(body, self.redeliveries))

    async def ask(self, kind: str, name: str, payload: Json) -> Ack:
        """Deliver a command or an interaction, in one attempt."""
        return await self._attempt(kind, name, payload, 0, "")

    async def _event(self, body: Json, redeliveries: int) -> None:
        name = body["event"]["type"]
        try:
            ack = await self._attempt("events_api", name, body, 0, "")
            copies = range(1, redeliveries + 1)
            await asyncio.gather(*(self._attempt("events_api", name, body, n, "timeout") for n in copies))
            for number, delay in enumerate(self.retry_delays, start=1):
                if not ack.problem or ack.final:
                    return
                await asyncio.sleep(delay)
                ack = await self._attempt("events_api", name, body, number, ack.problem)
        finally:
            self.open -= 1
            self._ws.changed()

    async def _attempt(self, kind: str, name: str, payload: Json, attempt: int, reason: str) -> Ack:
        at = self._ws.now()
        transport = self.http or self._sockets
        ack = await transport.send(kind, payload, attempt, reason)
        self._ws.deliveries.append(Delivery(kind, name, payload.get("event_id", ""), attempt, at, ack.problem))
        self._ws.changed()
        return ack
