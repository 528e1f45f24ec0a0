"""The error tree: what its drawing says is what the classes carry."""

import re

import pytest

from proxy.core import errors
from proxy.core.errors import (
    KeyInvalid,
    Outcome,
    ProxyError,
    RateLimited,
    RequestInvalid,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefused,
)

CLASSES = {
    value.__name__: value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, ProxyError) and value not in (ProxyError, UpstreamError)
}
ROWS = re.findall(r"─ (\w+) +(\d+|theirs) +(\w+) +(\w+) +(yes|no)$", errors.__doc__ or "", re.MULTILINE)


def test_the_drawing_names_every_class() -> None:
    assert {row[0] for row in ROWS} == set(CLASSES)


@pytest.mark.parametrize(("name", "status", "code", "outcome", "retryable"), ROWS)
def test_a_class_is_as_it_is_drawn(name: str, status: str, code: str, outcome: str, retryable: str) -> None:
    error = CLASSES[name]("what to do")
    assert error.outcome == Outcome(outcome)
    assert error.retryable == (retryable == "yes")
    assert error.log_level in ("info", "warning", "error")
    if status != "theirs":
        assert (error.status, error.code) == (int(status), code)
    assert error.body() == {"error": {"message": "what to do", "type": error.type, "param": None, "code": error.code}}
    assert str(error) == "what to do"


def test_an_error_may_carry_its_own_values() -> None:
    error = RequestInvalid("no", param="model", status=422, type="t", code="c", retry_after_s=2.0)
    assert error.body() == {"error": {"message": "no", "type": "t", "param": "model", "code": "c"}}
    assert (error.status, error.retry_after_s) == (422, 2.0)


def test_in_a_stream_the_upstreams_own_words_are_told() -> None:
    error = UpstreamRateLimited("slow down")
    assert error.event_body()["error"]["code"] == "upstream_rate_limit"
    error.upstream_code, error.upstream_type = 1302, "busy"
    assert error.event_body()["error"] == {"message": "slow down", "type": "busy", "param": None, "code": 1302}
    assert error.body()["error"]["code"] == "upstream_rate_limit"


def test_an_error_of_our_own_is_the_same_in_a_stream() -> None:
    assert RequestInvalid("no").event_body() == RequestInvalid("no").body()


def test_a_refusal_without_words_keeps_its_own() -> None:
    assert UpstreamRefused("no").event_body()["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (RequestInvalid("no"), {}),
        (KeyInvalid("no"), {"www-authenticate": "Bearer"}),
        (RateLimited("no", retry_after_s=1.2), {"retry-after": "2"}),
        (RateLimited("no", retry_after_s=0.0), {"retry-after": "1"}),
    ],
)
def test_a_refusal_says_when_to_come_back_and_with_what(error: ProxyError, headers: dict[str, str]) -> None:
    assert error.headers() == headers
