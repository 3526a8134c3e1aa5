"""The entry point of the Web API: it applies faults and the rate limit, checks the token, calls the method and
answers."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiohttp import web

from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.methods.faults import SlackFault, SlackFaults
from bots.sandbox.slack.methods.limits import SlackLimiter
from bots.sandbox.slack.workspace.blocks import SlackRefusal
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackCall

Method = Callable[[Args], Json]

CONNECT = "apps.connections.open"


class Api:
    """Dispatches calls. `tokens` maps each token to whether it is the app-level one. Blocks whose type is in `unknown`
    are refused."""

    def __init__(
        self,
        ws: Workspace,
        faults: SlackFaults,
        limiter: SlackLimiter,
        methods: Mapping[str, Method],
        tokens: Mapping[str, bool],
        unknown: Collection[str],
    ) -> None:
        self._ws = ws
        self._faults = faults
        self._limiter = limiter
        self._methods = methods
        self._tokens = tokens
        self._unknown = unknown

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one call of `/api/{method}`."""
        method, at = request.match_info["method"], self._ws.now()
        args = Args({})
        try:
            args = await Args.of(request)
        except SlackRefusal as refusal:
            return self._answered(method, args, at, 200, refusal.body())
        fault = await self.delay(method)
        answer = self._done(method, args, at, fault, request)
        await self.finish(fault, request)
        return answer

    def _done(self, method: str, args: Args, at: float, fault: SlackFault, request: web.Request) -> web.Response:
        """Do the call, unless its fault, the rate limit or the method itself refuses it."""
        if fault.refuses:
            code = fault.error or ("ratelimited" if fault.status == 429 else f"http_{fault.status}")
            self._record(method, args, at, code, fault.status or 200)
            return self.fault_response(fault)
        if wait := self._limiter.admit(method, args.text("channel"), self._ws.now()):
            return self._answered(method, args, at, 429, {"ok": False, "error": "ratelimited"}, math.ceil(wait))
        try:
            self._check_token(method, request, args)
            if method not in self._methods:
                raise SlackRefusal("unknown_method", req_method=method)
            self._check_blocks(args)
            body = {"ok": True, **self._methods[method](args)}
        except SlackRefusal as refusal:
            body = refusal.body()
        return self._answered(method, args, at, 200, body)

    async def delay(self, method: str) -> SlackFault:
        """Wait for half of the latency and for the delay of this call's fault. Returns the fault."""
        fault = self._faults.take(method) or SlackFault()
        self._ws.changed()  # wakes a test that waits until a call meets this fault
        if seconds := self._faults.latency / 2 + fault.before:
            await asyncio.sleep(seconds)
        if fault.gate:
            await fault.gate.wait()
        return fault

    async def finish(self, fault: SlackFault, request: web.Request) -> None:
        """Wait between doing the call and answering it: the other half of the latency, and the fault's delay."""
        if seconds := self._faults.latency / 2 + fault.after:
            await asyncio.sleep(seconds)
        if fault.answer_gate:
            await fault.answer_gate.wait()
        if fault.reset and request.transport:
            request.transport.abort()

    def fault_response(self, fault: SlackFault) -> web.Response:
        """The response to a call that the fault refuses."""
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.body:
            kind = {"<": "text/html", "{": "application/json"}.get(fault.body.lstrip()[:1], "text/plain")
            return web.Response(text=fault.body, status=fault.status, headers=headers, content_type=kind)
        error = fault.error or ("ratelimited" if fault.status == 429 else "internal_error")
        body: Json = {"ok": False, "error": error}
        if fault.details:
            body["response_metadata"] = {"messages": list(fault.details)}
        return web.json_response(body, status=fault.status or 200, headers=headers)

    def _check_token(self, method: str, request: web.Request, args: Args) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme == "Bearer" else args.text("token")
        if not token:
            raise SlackRefusal("not_authed")
        if token not in self._tokens:
            raise SlackRefusal("invalid_auth")
        if self._tokens[token] is not (method == CONNECT):
            raise SlackRefusal("not_allowed_token_type")

    def _check_blocks(self, args: Args) -> None:
        blocks = args.json("blocks", "invalid_blocks") if self._unknown else None
        for number, block in enumerate(blocks if isinstance(blocks, list) else ()):
            if isinstance(block, dict) and block.get("type") in self._unknown:
                raise SlackRefusal(
                    "invalid_blocks", f"unsupported type: {block['type']} [json-pointer:/blocks/{number}]"
                )

    def _answered(
        self, method: str, args: Args, at: float, status: int, body: Mapping[str, Any], retry_after: int = 0
    ) -> web.Response:
        self._record(method, args, at, body.get("error", ""), status)
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        if self._ws.scopes is not None and self._ws.tells_scopes:
            headers["X-OAuth-Scopes"] = ",".join(sorted(self._ws.scopes))
        return web.json_response(body, status=status, headers=headers)

    def _record(self, method: str, args: Args, at: float, error: str, status: int) -> None:
        arguments = {name: value for name, value in args.raw.items() if name != "token"}
        self._ws.calls.append(SlackCall(method, arguments, at, error, status))
        self._ws.changed()
