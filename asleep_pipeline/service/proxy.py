"""`/ai/*` and `/data/*`: what the SDKs of phones ask of Asleep, passed on with the organisation's key.

An app gives the address of this service to the SDK as its `baseUrl`, and its own credential instead of the
key, which so never leaves the servers. Bodies flow through as they come, and no more of them is held than
fits into the sockets' buffers: who is slow at one end slows the other down.

These requests are not counted in the budget of the pull: a phone that uploads a night must not wait for a
backfill, and Asleep's own refusals reach the SDK, which knows what to do about them. A body is passed on as
it is; so a `callbackUrl` in it is the app's decision, and Asleep posts there with the key that the
organisation records with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
import structlog
from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.asleep.errors import AsleepError, ConnectionFailed, TruncatedBody
from asleep_pipeline.asleep.passing import Answer, Passage, Passed
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.privacy.audit import Action
from asleep_pipeline.service.admission import (
    ANY_BODY,
    AS_KEY,
    DOOR,
    NEEDS,
    admit,
    admit_to_user,
    caller_of,
)
from asleep_pipeline.service.auditing import AUDIT, Auditing, announce, tell_audit
from asleep_pipeline.service.proxy_rules import (
    CREATE_USER,
    RULES,
    Rule,
    check_path,
    headers_to_return,
    headers_to_send,
    query_of,
    user_named,
)
from asleep_pipeline.service.roster import roster_of
from asleep_pipeline.settings import Settings

PROXY: Final = "proxy"
"""Where the application keeps its `Proxy`."""

_RULE: Final = "rule"
_ANSWERED_S: Final = 150.0
_RELAYED_S: Final = 300.0
_MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MOST_USER_BYTES: Final = 64 * 1024

log = structlog.get_logger(__name__)


class NoAnswer(HTTPException):
    """Asleep did not answer, or not in a way that can be passed on."""

    status_code = HTTPStatus.BAD_GATEWAY


class LateAnswer(HTTPException):
    """Asleep did not answer in time."""

    status_code = HTTPStatus.GATEWAY_TIMEOUT

    def __init__(self) -> None:
        super().__init__("Asleep did not answer in time.")


class TooLarge(HTTPException):
    """A body that is longer than what is passed on."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self) -> None:
        super().__init__("The body is too large.")


class HungUp(HTTPException):
    """Whoever asked is gone before all was said."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self) -> None:
        super().__init__("The body ended too early.")


class Proxy:
    """The way by which requests are passed on, for one event loop.

    Args:
        settings: Whose keys, address and limit.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._passage: Passage | None = None

    async def pass_on(self, request: Request[Any, Any, Any], rule: Rule) -> ASGIApp:
        """Ask Asleep, and answer what it answers.

        Raises:
            NoAnswer: Asleep cannot be reached, fails, redirects, or refuses our key.
            LateAnswer: It does not answer in time.
            TooLarge: The body is longer than the setting `proxy_upload_bytes`.
        """
        org_id = caller_of(request).org_id
        upload = _Upload(request, self._settings.proxy_upload_bytes)
        passed = Passed(
            request.method,
            rule.segments(request.path_params),
            query_of(request.scope, rule),
            headers_to_send(request, user_named(request, rule)),
            upload.chunks() if upload.is_there else None,
        )
        try:
            # The key may stand in a file.
            key = await asyncio.to_thread(key_for, self._settings, org_id)
        except ConfigurationError:
            raise NoAnswer("This organisation has no usable key for Asleep.") from None
        self._passage = self._passage or Passage(self._settings.base_url)
        relay = _Relay(self._passage.sent(passed, key), upload)
        try:
            await relay.begin()
            if rule is CREATE_USER and relay.status == HTTPStatus.CREATED:
                await _remember(request, org_id, await relay.whole())
        except BaseException:
            await relay.end()
            raise
        return relay

    async def close(self) -> None:
        """Close all connections."""
        if self._passage:
            await self._passage.close()


class _Upload:
    """What is uploaded, as it comes, up to a limit."""

    def __init__(self, request: Request[Any, Any, Any], most_bytes: int) -> None:
        self.failure: HTTPException | None = None
        self._receive, self._most_bytes = request.receive, most_bytes
        length = request.headers.get("content-length", "0")
        self.is_there = length != "0" or "transfer-encoding" in request.headers
        if int(length) > most_bytes:
            raise TooLarge

    async def chunks(self) -> AsyncIterator[bytes]:
        """Piece by piece; the next one is not read before this one is sent."""
        size, more = 0, True
        while more:
            message = cast("Any", await self._receive())
            if message["type"] != "http.request":
                self._fail(HungUp())
            size += len(message["body"])
            if size > self._most_bytes:
                self._fail(TooLarge())
            more = message["more_body"]
            if message["body"]:
                yield message["body"]

    def _fail(self, failure: HTTPException) -> None:
        """Break the request off; what is raised here does not reach who asked as it is."""
        self.failure = failure
        raise failure


class _Relay:
    """An answer of Asleep on its way to who asked; an ASGI application."""

    def __init__(self, sent: Any, upload: _Upload) -> None:
        self._sent, self._upload = sent, upload
        self._answer: Answer | None = None
        self._begun: Sequence[bytes] | None = None

    @property
    def status(self) -> int:
        """The answer's."""
        assert self._answer
        return self._answer.status

    async def begin(self) -> None:
        """Wait for the answer's head.

        Raises:
            HTTPException: None comes, or one that is not passed on.
        """
        try:
            async with asyncio.timeout(_ANSWERED_S):
                self._answer = await self._sent.__aenter__()
        except TimeoutError:
            raise LateAnswer from None
        except ConnectionFailed as error:
            raise self._upload.failure or _failure(error) from None
        _check(self.status)

    async def whole(self) -> bytes:
        """The body, when it is short; it is kept to be sent.

        Raises:
            NoAnswer: It is long, or broke off.
        """
        assert self._answer
        body = b""
        try:
            async with asyncio.timeout(_ANSWERED_S):
                async for chunk in self._answer.chunks():
                    body += chunk
                    if len(body) > _MOST_USER_BYTES:
                        break
        except (TruncatedBody, TimeoutError):
            body = b""
        if not body or len(body) > _MOST_USER_BYTES:
            raise NoAnswer("Asleep's answer cannot be read.")
        self._begun = [body]
        return body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; one that breaks off breaks off here, too, so that nobody takes it for whole."""
        assert self._answer
        headers = headers_to_return(self._answer.headers)
        try:
            with suppress(TruncatedBody, TimeoutError):
                async with asyncio.timeout(_RELAYED_S):
                    await send(
                        {"type": "http.response.start", "status": self.status, "headers": headers}
                    )
                    await self._send_body(send)
        finally:
            await self.end()

    async def end(self) -> None:
        """Let go of the answer, if there is one."""
        if self._answer:
            await self._sent.__aexit__(None, None, None)
            self._answer = None

    async def _send_body(self, send: Send) -> None:
        size = 0
        async for chunk in self._chunks():
            size += len(chunk)
            if size > _MOST_ANSWER_BYTES:
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        assert self._answer
        if self._begun is not None:
            for chunk in self._begun:
                yield chunk
            return
        async for chunk in self._answer.chunks():
            yield chunk


def proxy_router() -> Router:
    """The routes that are passed on; not in the description, as they are Asleep's."""
    handlers = [_handler(rule) for rule in RULES]
    return Router(
        "/",
        route_handlers=handlers,
        guards=[admit, _admit, announce],
        middleware=[Auditing],
        include_in_schema=False,
    )


async def close_proxy(app: Litestar) -> None:
    """Close what the proxy has opened."""
    proxy: Proxy = app.state[PROXY]
    await proxy.close()


def _handler(rule: Rule) -> HTTPRouteHandler:
    async def pass_on(request: Request[Any, Any, Any]) -> ASGIApp:
        proxy: Proxy = request.app.state[PROXY]
        return await proxy.pass_on(request, rule)

    # An SDK sends what the app gives it as its key in no other header than the key's.
    action = Action.READ if set(rule.methods) <= {"GET", "HEAD"} else Action.FORWARD
    options = {NEEDS: rule.needs, AUDIT: action, ANY_BODY: True, AS_KEY: True, _RULE: rule}
    return HTTPRouteHandler(
        rule.path, http_method=list(rule.methods), status_code=200, opt=options
    )(pass_on)


async def _admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let nobody ask about a user whom they may not see, however the user is named."""
    if connection.scope.get("method") == "OPTIONS":
        return
    check_path(cast("Any", connection.scope), connection.path_params.values())
    user_id = user_named(connection, handler.opt[_RULE])
    tell_audit(connection, user_id=user_id)
    if user_id is not None and "user_id" not in connection.path_params:
        threads = connection.app.state[DOOR].threads
        await asyncio.get_running_loop().run_in_executor(
            threads, admit_to_user, connection, caller_of(connection), user_id
        )


def _failure(error: AsleepError) -> HTTPException:
    log.warning("proxy_failed", kind=type(error).__name__, cause=error.cause)
    return LateAnswer() if error.cause == "ReadTimeout" else NoAnswer("Asleep cannot be reached.")


def _check(status: int) -> None:
    """Refuse what is not passed on: a redirect, a failure, and what only concerns our key."""
    if status == HTTPStatus.UNAUTHORIZED:
        log.warning("proxy_failed", kind="Unauthorized")
        raise NoAnswer("Asleep refuses the key of this organisation, or the user.")
    if status < HTTPStatus.OK or HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        log.warning("proxy_failed", kind="Redirected")
        raise NoAnswer("Asleep answers with a redirect, which is not followed.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("proxy_failed", kind="ServerError", upstream_status=status)
        raise NoAnswer("Asleep failed.")


class _Created(msgspec.Struct):
    user_id: str


class _Envelope(msgspec.Struct):
    result: _Created


async def _remember(request: Request[Any, Any, Any], org_id: str, body: bytes) -> None:
    """Put whom Asleep has created on the roster, before anybody is told the id."""
    try:
        user_id = msgspec.json.decode(body, type=_Envelope).result.user_id
    except msgspec.MsgspecError:
        raise NoAnswer("Asleep's answer cannot be read.") from None
    await asyncio.to_thread(roster_of(request).add, org_id, user_id, {})
