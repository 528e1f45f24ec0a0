"""Each error of the contract as the official SDK raises it: class, status, code, param and message."""

import threading
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.contract.conftest import CALLER_KEY, LIMITED_KEY, UPSTREAM_KEY, World, client_of, table_of
from tests.support.proxying import proxying
from tests.support.scripted import delta
from tests.support.upstream import Gate, Pause, Reply, serving

ASK: Any = [{"role": "user", "content": "the-prompt-of-a-caller"}]
HTML = Reply([b"<html>gateway</html>"], 200, {"content-type": "text/html"}, "length")
ROLE = delta({"role": "assistant", "content": ""})
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def refused(
    client: OpenAI, model: str, *, stream: bool = True, messages: Any = None, **more: Any
) -> openai.APIStatusError:
    """The error of a request that gets no answer at all."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=messages or ASK, stream=stream, **more)
    error = caught.value
    assert isinstance(error.body, dict)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-request-id"]
    for secret in ("the-prompt-of-a-caller", UPSTREAM_KEY, CALLER_KEY, LIMITED_KEY, "Traceback"):
        assert secret not in error.response.text
    return error


def test_wrong_requests_are_bad_requests_that_name_the_key(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_json({}))
    for param, change in (
        ("messages", {"messages": "no list"}),
        ("model", {"model": ""}),
        ("stream", {"stream": "yes"}),
        ("stream_options", {"stream_options": "x"}),
    ):
        error = refused(client, model, extra_body=change)
        assert isinstance(error, openai.BadRequestError)
        assert (error.code, error.param, error.type) == ("invalid_request", param, "invalid_request_error"), param
        assert f"`{param}`" in str(error.message)
    assert not world.all_asked(model)


def test_unknown_model_is_not_found(world: World, client: OpenAI) -> None:
    error = refused(client, "hause/x")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    assert "house/*" in error.message


def test_large_body_is_413(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_json({}))
    error = refused(client, model, messages=[{"role": "user", "content": "x" * 70_000}])
    assert (error.status_code, error.code) == (413, "request_too_large")
    assert "65536" in error.message


@pytest.mark.parametrize("key", ["wrong", CALLER_KEY + "x"])
def test_wrong_key_is_an_authentication_error(guarded: World, key: str) -> None:
    with client_of(guarded, key) as client:
        error = refused(client, "house/x")
        assert isinstance(error, openai.AuthenticationError)
        assert (error.code, error.type) == ("invalid_api_key", "authentication_error")
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_right_key_is_served_and_never_sent_on(guarded: World) -> None:
    model = guarded.model(Reply.of_events(delta({"role": "assistant", "content": "Hi"}), delta({}, "stop")))
    with client_of(guarded, CALLER_KEY) as client:
        assert client.chat.completions.create(model=model, messages=ASK).choices[0].message.content == "Hi"
    assert guarded.asked(model).headers["authorization"] == f"Bearer {UPSTREAM_KEY}"


def test_limit_of_a_key_is_a_rate_limit_error_with_the_time_to_wait(guarded: World) -> None:
    model = guarded.model(Reply.of_events(delta({"role": "assistant", "content": "Hi"}), delta({}, "stop")))
    with client_of(guarded, LIMITED_KEY) as client:
        client.chat.completions.create(model=model, messages=ASK)
        error = refused(client, model)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limit_exceeded"
    assert 1 <= int(error.response.headers["retry-after"]) <= 60


@STREAMED
def test_refusal_of_the_upstream_keeps_status_code_and_message(world: World, client: OpenAI, *, stream: bool) -> None:
    said = {"message": "too long by 7", "type": "invalid_request_error", "param": "messages", "code": "context_length"}
    for status, kind in (
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
    ):
        error = refused(client, world.model(Reply.of_json({"error": said}, status)), stream=stream)
        assert type(error) is kind
        assert (error.code, error.param, error.type) == ("context_length", "messages", "invalid_request_error")
        assert "too long by 7" in error.message


@STREAMED
@pytest.mark.parametrize(
    ("reply", "status", "code", "says"),
    [
        (Reply.of_json({"error": {"message": f"no such key {UPSTREAM_KEY}"}}, 401), 502, "upstream_auth", "refused the key"),
        (Reply.of_json({"error": {"message": "forbidden"}}, 403), 502, "upstream_auth", "refused the key"),
        (Reply.of_json({"error": {"message": "busy"}}, 503), 502, "upstream_unavailable", "busy"),
        (Reply.of_json({"detail": "oops"}, 500), 502, "upstream_unavailable", "oops"),
        (Reply.of_json({"error": {"message": "slow down"}}, 408), 504, "upstream_timeout", "slow down"),
        (HTML, 502, "upstream_protocol", "not a chat completion"),
        (Reply([], 200, {}, "length"), 502, "upstream_protocol", ""),
        (Reply([b""], 200, ending="reset"), 502, "upstream_unavailable", "broke off"),
        (Reply.of_json({"error": {"message": "no", "code": 400}}), 400, "400", "no"),  # the SDK makes a text of every code
    ],
)  # fmt: skip
def test_failure_of_the_upstream_has_its_own_code(
    world: World, client: OpenAI, reply: Reply, status: int, code: str, says: str, *, stream: bool
) -> None:
    error = refused(client, world.model(reply), stream=stream)
    assert (error.status_code, error.code) == (status, code)
    assert says in error.message
    assert isinstance(error, openai.InternalServerError if status >= 500 else openai.BadRequestError)


@STREAMED
def test_throttled_upstream_is_a_rate_limit_error_with_its_time_to_wait(
    world: World, client: OpenAI, *, stream: bool
) -> None:
    reply = Reply.of_json({"error": {"message": "slow down"}}, 429, retry_after="7")
    error = refused(client, world.model(reply), stream=stream)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, error.response.headers["retry-after"]) == ("upstream_rate_limit", "7")
    assert "slow down" in error.message


@STREAMED
def test_unreachable_upstream_is_502(client: OpenAI, *, stream: bool) -> None:
    error = refused(client, "dead/x", stream=stream)
    assert (error.status_code, error.code) == (502, "upstream_unavailable")
    assert "'dead'" in error.message


@STREAMED
def test_slow_upstream_is_504(world: World, client: OpenAI, *, stream: bool) -> None:
    silent = Reply([b"{}"], before=Gate())
    began = time.monotonic()
    error = refused(client, world.model(silent, "hasty"), stream=stream)
    assert (error.status_code, error.code, error.type) == (504, "upstream_timeout", "timeout_error")
    assert "first_byte" in error.message
    assert time.monotonic() - began < 3


def test_error_before_any_content_inside_a_200_is_a_real_status(world: World, client: OpenAI) -> None:
    said = {"error": {"message": "tool choice is wrong", "code": "tool_use_failed", "status_code": 422}}
    for pieces in ([said], [ROLE, said], [ROLE, delta({"content": ""}), {**ROLE, "choices": [], **said}]):
        error = refused(client, world.model(Reply.of_events(*pieces)))
        assert isinstance(error, openai.UnprocessableEntityError)
        assert error.code == "tool_use_failed"
        assert "tool choice is wrong" in error.message


def heard_until_error(client: OpenAI, model: str) -> tuple[str, openai.APIError]:
    heard: list[ChatCompletionChunk] = []
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
    with pytest.raises(openai.APIError) as caught:
        heard.extend(stream)
    choices = [choice for chunk in heard for choice in chunk.choices]
    assert all(choice.finish_reason is None for choice in choices)
    assert not isinstance(caught.value, openai.APIStatusError)
    return "".join(choice.delta.content or "" for choice in choices), caught.value


def test_error_in_mid_stream_is_raised_by_the_sdk_after_what_was_said(world: World, client: OpenAI) -> None:
    said = {"error": {"message": "Provider disconnected", "code": 502}}
    start = (ROLE, delta({"content": "Half an ans"}))
    for model, message, code in (
        (world.model(Reply.of_events(*start, said)), "Provider disconnected", "502"),
        (world.model(Reply.of_events(*start, done=False)), "", "upstream_protocol"),
        (world.model(Reply.of_events(*start, done=False, ending="close")), "broke off", "upstream_unavailable"),
        (
            world.model(Reply.of_events(*start, Pause(0.05), done=False, ending="reset")),
            "broke off",
            "upstream_unavailable",
        ),
        (world.model(Reply.of_events(*start, Gate()), "hasty"), "idle", "upstream_timeout"),
    ):
        text, error = heard_until_error(client, model)
        assert (text, error.code) == ("Half an ans", code)
        assert message in error.message


def test_stopping_proxy_answers_a_waiting_request_with_503(upstream_env: dict[str, str]) -> None:
    gate = Gate()
    with (
        serving(lambda _: Reply([b"{}"], before=gate)) as upstream,
        proxying(table_of(upstream), upstream_env) as proxy,
        client_of(World(upstream, proxy)) as client,
    ):
        stopper = stop_when_reached(gate, proxy.stop)
        error = refused(client, "house/x")
        stopper.join(5)
        assert (error.status_code, error.code) == (503, "server_shutdown")
        assert proxy.process.wait(10) == 0


def stop_when_reached(gate: Gate, stop: Callable[[], None]) -> threading.Thread:
    def wait() -> None:
        assert gate.reached.wait(5)
        stop()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_wrong_rendering_names_its_header(world: World, client: OpenAI) -> None:
    error = refused(client, world.model(Reply.of_json({})), extra_headers={"X-Reasoning-Render": "thinking"})
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.param) == ("invalid_request", "X-Reasoning-Render")
