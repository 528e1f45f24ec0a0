"""The replay upstream, over real sockets."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from proxy.demo.background import serving
from proxy.demo.recordings import Library
from proxy.demo.replay import Replay, speed_of

STREAM = b"data: 1\n\n: wait\n\ndata: 2\n\ndata: [DONE]\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "paced.sse").write_bytes(STREAM)
    (tmp_path / "paced.timing").write_text("50 200 0 100")
    (tmp_path / "refused.json").write_text('{"error": {"message": "no"}}')
    (tmp_path / "refused.meta.json").write_text('{"http_status": 403}')
    (tmp_path / "broken.sse").write_bytes(STREAM)
    (tmp_path / "broken.timing").write_text("soon")
    (tmp_path / "empty.sse").write_bytes(b"")
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with serving(Replay(Library(folder))) as address:
        yield f"{address}/v1"


def _ask(url: str, model: str, *, stream: bool = True) -> httpx2.Response:
    return httpx2.post(f"{url}/chat/completions", json={"model": model, "stream": stream}, trust_env=False)


def test_a_recording_is_served_byte_for_byte_at_its_pace(url: str) -> None:
    reads: list[tuple[float, bytes]] = []
    started = time.monotonic()
    with httpx2.stream(
        "POST", f"{url}/chat/completions", json={"model": "paced", "stream": True}, trust_env=False
    ) as response:
        reads.extend((time.monotonic() - started, data) for data in response.iter_raw())
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [data for _, data in reads] == [b"data: 1\n\n", b": wait\n\ndata: 2\n\n", b"data: [DONE]\n\n"]
    assert all(at >= due for (at, _), due in zip(reads, (0.05, 0.25, 0.35), strict=True))


@pytest.mark.parametrize(("speed", "slowest"), [(7.0, 0.3), (math.inf, 0.25)])
def test_speed_shortens_the_waits(folder: Path, speed: float, slowest: float) -> None:
    with serving(Replay(Library(folder), speed=speed)) as address:
        _ask(f"{address}/v1", "paced")
        started = time.monotonic()
        assert _ask(f"{address}/v1", "paced").content == STREAM
        assert time.monotonic() - started < slowest


def test_a_whole_request_of_a_stream_gets_the_stream(url: str) -> None:
    response = _ask(url, "paced", stream=False)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content == STREAM


def test_an_empty_recording_is_an_empty_body(url: str) -> None:
    assert (_ask(url, "empty").status_code, _ask(url, "empty").content) == (200, b"")


def test_a_recorded_status_is_served(url: str) -> None:
    response = _ask(url, "refused")
    assert (response.status_code, response.json()) == (403, {"error": {"message": "no"}})
    assert response.headers["content-type"] == "application/json"


def test_models_are_the_recordings(url: str) -> None:
    listed = httpx2.get(f"{url}/models", trust_env=False).json()
    assert [model["id"] for model in listed["data"]] == ["broken", "empty", "paced", "refused"]


def test_an_unknown_model_is_a_404_with_close_names(url: str) -> None:
    response = _ask(url, "pace")
    assert response.status_code == 404
    assert "close names: paced" in response.json()["error"]["message"]


def test_a_wrong_timing_file_is_a_500_that_names_it(url: str) -> None:
    response = _ask(url, "broken")
    assert response.status_code == 500
    assert "broken.timing:1: 'soon'" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"model": 1}'])
def test_a_body_without_a_model_is_a_400(url: str, body: bytes) -> None:
    response = httpx2.post(f"{url}/chat/completions", content=body, trust_env=False)
    assert response.status_code == 400
    assert "error" in response.json()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/chat/completions", 405), ("POST", "/models", 405), ("POST", "/embeddings", 404), ("GET", "/", 404)],
)
def test_other_paths_and_methods_are_refused(url: str, method: str, path: str, status: int) -> None:
    assert httpx2.request(method, f"{url}{path}", trust_env=False).status_code == status


def test_a_client_that_leaves_ends_the_replay(folder: Path) -> None:
    (folder / "long.sse").write_bytes(b"data: 1\n\n" * 1000)
    (folder / "long.timing").write_text("0 1000")
    started = time.monotonic()
    with (
        serving(Replay(Library(folder))) as address,
        httpx2.stream("POST", f"{address}/v1/chat/completions", json={"model": "long"}, trust_env=False) as response,
    ):
        next(response.iter_raw())
    assert time.monotonic() - started < 5


def test_an_application_that_cannot_start_is_told() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="did not start"), serving(broken, lifespan=True):
        pass


@pytest.mark.parametrize("text", ["0", "-1", "nan", "fast", ""])
def test_a_speed_is_a_positive_number(text: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        speed_of(text)


def test_inf_is_a_speed() -> None:
    assert speed_of("inf") == math.inf
