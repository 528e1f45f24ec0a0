"""Errors in the shapes in which upstreams write them."""

from typing import Any

import pytest

from proxy.core.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from proxy.core.upstream_error import from_payload, is_error, not_a_completion, of_status

SHAPES: list[tuple[str, Any, str, type[UpstreamError]]] = [
    (
        "OpenAI",
        {"error": {"message": "no", "type": "invalid_request_error", "param": "p", "code": None}},
        "no",
        UpstreamRefused,
    ),
    (
        "OpenRouter",
        {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": " slow "}}},
        "Provider returned error (slow)",
        UpstreamRateLimited,
    ),
    ("error in a choice", {"choices": [5, {"error": {"code": 400, "message": "no"}}]}, "no", UpstreamRefused),
    (
        "vLLM",
        {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
        "too long",
        UpstreamRefused,
    ),
    (
        "xAI",
        {"code": "Some resource has been exhausted", "error": "You are out of credits"},
        "You are out of credits",
        UpstreamUnavailable,
    ),
    (
        "MiniMax",
        {"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "choices": None},
        "login fail",
        UpstreamUnavailable,
    ),
    (
        "Gemini",
        [{"error": {"code": 403, "message": "key", "status": "PERMISSION_DENIED"}}],
        "The provider refused the key that the proxy sent (403): key",
        UpstreamAuth,
    ),
    ("FastAPI", {"detail": "Not Found"}, "Not Found", UpstreamUnavailable),
    (
        "Mistral",
        {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs"}, {"msg": "More"}]},
        "Extra inputs; More",
        UpstreamUnavailable,
    ),
    ("Cloudflare", {"errors": [{"code": 408, "message": "slow"}]}, "slow", UpstreamTimeout),
    (
        "Anthropic",
        {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
        "busy",
        UpstreamUnavailable,
    ),
    ("a text", {"error": " boom "}, "boom", UpstreamUnavailable),
    (
        "a status as text",
        {"error": {"message": "x", "code": "401"}},
        "The provider refused the key that the proxy sent (401): x",
        UpstreamAuth,
    ),
    ("nested", {"error": {"error": {"message": "deep"}}}, "deep", UpstreamUnavailable),
    ("a message with a code", {"message": "no", "code": "bad", "status": 404}, "no", UpstreamRefused),
    (
        "nothing said",
        {"error": {"type": "<nil>"}},
        "the upstream reported an error without a message",
        UpstreamUnavailable,
    ),
    ("nothing readable", {"error": 5}, "the upstream reported an error without a message", UpstreamUnavailable),
    (
        "choices of the wrong type",
        {"object": "error", "choices": 5},
        "the upstream reported an error without a message",
        UpstreamUnavailable,
    ),
]


@pytest.mark.parametrize(("value", "message", "kind"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_every_shape_is_known_as_an_error_and_read(value: Any, message: str, kind: type[UpstreamError]) -> None:
    assert is_error(value)
    error = from_payload(value, 200)
    assert error.message == message
    assert type(error) is kind


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"delta": {"content": "error"}}]},
        {"choices": [], "error": None},
        {"choices": [], "message": "x", "code": 1},
        {"choices": [], "base_resp": {"status_code": 0}},
        {"choices": [], "base_resp": {}},
        {"message": "hello"},
        {"type": "ping"},
        [],
        [[[{"error": 1}]]],
        None,
        "error",
    ],
)
def test_what_is_no_error_is_not_taken_for_one(value: Any) -> None:
    assert not is_error(value)


def test_the_http_status_wins_over_the_payloads() -> None:
    error = from_payload({"error": {"message": "no", "code": 500}}, 404)
    assert (error.status, error.upstream_code) == (404, 500)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"code": "context_length_exceeded", "type": "server_error"}, 400),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "overloaded_error", "code": None}, 502),
        ({"type": "unheard_of"}, 502),
        ({"code": 404, "type": "rate_limit_error"}, 404),
    ],
)
def test_an_error_without_a_status_may_tell_it_in_words(said: dict[str, Any], status: int) -> None:
    assert from_payload({"error": {"message": "m", **said}}, 200).status == status


def test_the_upstreams_own_code_and_type_are_kept() -> None:
    error = from_payload({"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}, 422)
    assert error.body()["error"] == {"message": "m", "type": "t", "param": "p", "code": "c"}
    assert (error.upstream_code, error.upstream_type) == ("c", "t")


@pytest.mark.parametrize("value", ["plain text", " plain text\n", ["plain text"], [], {}, None])
def test_text_and_emptiness_are_errors_too(value: Any) -> None:
    assert from_payload(value, 500).message in ("plain text", "the upstream reported an error without a message")


def test_endless_nesting_and_endless_text_are_cut() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [{"error": deep}]
    assert from_payload({"error": deep}).message == "the upstream reported an error without a message"
    assert len(from_payload({"error": "x" * 5000}).message) == 2000


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRefused),
        (401, UpstreamAuth),
        (403, UpstreamAuth),
        (404, UpstreamRefused),
        (408, UpstreamTimeout),
        (422, UpstreamRefused),
        (429, UpstreamRateLimited),
        (500, UpstreamUnavailable),
        (529, UpstreamUnavailable),
    ],
)
def test_a_status_has_its_class(status: int, kind: type[UpstreamError]) -> None:
    error = of_status(status, "m", code="c", kind="t", param="p")
    assert type(error) is kind
    if kind is UpstreamRefused:
        assert (error.status, error.code, error.type, error.param) == (status, "c", "t", "p")


def test_something_else_is_no_completion() -> None:
    error = not_a_completion("it looks like HTML")
    assert isinstance(error, UpstreamProtocol)
    assert error.message == "The upstream's answer is not a chat completion: it looks like HTML"
