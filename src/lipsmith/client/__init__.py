"""Lipsmith from Python: `Client` and `AsyncClient` on httpx.

from lipsmith import Client
with Client("http://localhost:8000", api_key="lsk_…") as client:
    client.dub("shot.mov", "voice.wav", "dub.mov")
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import httpx

from lipsmith.client import flows
from lipsmith.client.flows import (
    Actor,
    ActorVoice,
    Answer,
    Audio,
    DubFailed,
    Flow,
    Job,
    LipsmithApiError,
    Pause,
    Request,
    ShotStatus,
    User,
    Video,
)

__all__ = [
    "Actor",
    "ActorVoice",
    "AsyncClient",
    "Audio",
    "Client",
    "DubFailed",
    "Job",
    "LipsmithApiError",
    "ShotStatus",
    "User",
    "Video",
]

P = ParamSpec("P")
T = TypeVar("T")
Outcome = httpx.Response | httpx.TransportError | None  # None: of a pause
_TRIES = 5
_WORTH_TRYING_AGAIN = (429, 502, 503, 504)
_LONGEST_WAIT_SECONDS = 30.0


def _blocking(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    def call(self: Client, *given: P.args, **named: P.kwargs) -> T:
        return self._run(flow(*given, **named))

    call.__doc__, call.__name__ = flow.__doc__, flow.__name__
    return call


def _awaitable(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def call(self: AsyncClient, *given: P.args, **named: P.kwargs) -> T:
        return await self._run(flow(*given, **named))

    call.__doc__, call.__name__ = flow.__doc__, flow.__name__
    return call


class Client:
    """Blocking. `base_url` and `api_key` default to LIPSMITH_URL and LIPSMITH_API_KEY."""

    whoami = _blocking(flows.whoami)
    upload_video = _blocking(flows.upload_video)
    upload_audio = _blocking(flows.upload_audio)
    shot_status = _blocking(flows.shot_status)
    wait_for_shot = _blocking(flows.wait_for_shot)
    actors = _blocking(flows.actors)
    generate = _blocking(flows.generate)
    generate_multi_actor = _blocking(flows.generate_multi_actor)
    job = _blocking(flows.job)
    wait_for_job = _blocking(flows.wait_for_job)
    cancel = _blocking(flows.cancel)
    download_url = _blocking(flows.download_url)
    download = _blocking(flows.download)
    quality = _blocking(flows.quality)
    dub = _blocking(flows.dub)
    shots = _blocking(flows.shots)
    renders = _blocking(flows.renders)

    def __init__(self, base_url: str | None = None, api_key: str | None = None, *, timeout: float = 60.0) -> None:
        self._base, self._key = _where(base_url, api_key)
        self._http = httpx.Client(timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _run(self, flow: Flow[T]) -> T:
        steps, outcome = _persistent(flow), None
        try:
            while True:
                outcome = self._carry_out(steps.send(outcome))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _carry_out(self, step: Request | Pause) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.request(**_arguments(step, self._base, self._key))
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """The same with `await`, on asyncio or trio."""

    whoami = _awaitable(flows.whoami)
    upload_video = _awaitable(flows.upload_video)
    upload_audio = _awaitable(flows.upload_audio)
    shot_status = _awaitable(flows.shot_status)
    wait_for_shot = _awaitable(flows.wait_for_shot)
    actors = _awaitable(flows.actors)
    generate = _awaitable(flows.generate)
    generate_multi_actor = _awaitable(flows.generate_multi_actor)
    job = _awaitable(flows.job)
    wait_for_job = _awaitable(flows.wait_for_job)
    cancel = _awaitable(flows.cancel)
    download_url = _awaitable(flows.download_url)
    download = _awaitable(flows.download)
    quality = _awaitable(flows.quality)
    dub = _awaitable(flows.dub)
    shots = _awaitable(flows.shots)
    renders = _awaitable(flows.renders)

    def __init__(self, base_url: str | None = None, api_key: str | None = None, *, timeout: float = 60.0) -> None:
        self._base, self._key = _where(base_url, api_key)
        self._http = httpx.AsyncClient(timeout=timeout)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def _run(self, flow: Flow[T]) -> T:
        steps, outcome = _persistent(flow), None
        try:
            while True:
                outcome = await self._carry_out(steps.send(outcome))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _carry_out(self, step: Request | Pause) -> Outcome:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(**_arguments(step, self._base, self._key))
        except httpx.TransportError as error:
            return error


_NOTHING = Answer(0, {}, b"", None)


def _persistent(flow: Flow[T]) -> Generator[Request | Pause, Outcome, T]:
    """A flow whose requests are sent again where that may help; it takes what came of each, and knows no client."""
    answer: Answer | None = None
    try:
        while True:
            wanted = next(flow) if answer is None else flow.send(answer)
            if isinstance(wanted, Pause):
                yield wanted
                answer = _NOTHING
            else:
                answer = yield from _tried(wanted)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _tried(wanted: Request) -> Generator[Request | Pause, Outcome, Answer]:
    """Its good answer. Raises LipsmithApiError."""
    for tried in range(1, _TRIES + 1):
        outcome = yield wanted
        if isinstance(outcome, httpx.Response):
            if (wait := _after(outcome, wanted, tried)) is None:
                return _answer(outcome)
        else:
            assert outcome is not None
            wait = _after_error(outcome, tried)
        yield Pause(wait)
    raise AssertionError("the last try raises")


def _where(base_url: str | None, api_key: str | None) -> tuple[str, str]:
    base = base_url or os.environ.get("LIPSMITH_URL", "http://127.0.0.1:8000")
    key = api_key or os.environ.get("LIPSMITH_API_KEY")
    if not key:
        raise ValueError("Give api_key, or set LIPSMITH_API_KEY; `lipsmith keys create` makes one.")
    return base.rstrip("/").removesuffix("/v1"), key


def _arguments(wanted: Request, base: str, key: str) -> dict[str, Any]:
    headers = dict(wanted.headers) | ({"x-api-key": key} if wanted.is_ours else {})
    url = f"{base}{wanted.url}" if wanted.is_ours else wanted.url
    return {"method": wanted.method, "url": url, "json": wanted.json, "content": wanted.content, "headers": headers}


def _answer(response: httpx.Response) -> Answer:
    is_json = response.headers.get("content-type", "").startswith("application/json")
    data = response.json().get("data") if is_json and response.content else None
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content, data)


def _after(response: httpx.Response, wanted: Request, tried: int) -> float | None:
    """Seconds until the next try; None where the answer is good. Raises LipsmithApiError."""
    if response.status_code in wanted.accept:
        return None
    if response.status_code in _WORTH_TRYING_AGAIN and tried < _TRIES:
        told = response.headers.get("retry-after", "")
        return min(float(told) if told.isdecimal() else 2.0**tried / 4, _LONGEST_WAIT_SECONDS)
    raise LipsmithApiError(response.status_code, _message(response), response.headers.get("x-request-id"))


def _after_error(error: httpx.TransportError, tried: int) -> float:
    if tried == _TRIES:
        raise LipsmithApiError(0, f"The server cannot be reached: {error}") from error
    return 2.0**tried / 4


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    told = body.get("message") or body.get("title") or body.get("detail") if isinstance(body, dict) else None
    return str(told or response.reason_phrase)
