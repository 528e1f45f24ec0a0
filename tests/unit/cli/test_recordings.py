"""Folders of recordings."""

from pathlib import Path

import pytest

from proxy.cli.demo import MODELS, wire_lines
from proxy.core import sse
from proxy.core.codec import loads
from proxy.demo import table
from proxy.demo.recordings import FIRST_WAIT_S, WAIT_S, Library, Recording, RecordingError


def _library(folder: Path, **files: str) -> Library:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_bytes(text.encode())
    return Library(folder)


def _found(library: Library, name: str, *, stream: bool = True) -> Recording:
    recording = library.find(name, stream=stream)
    assert recording is not None
    return recording


def test_every_file_with_a_body_is_a_model_and_no_other_file_is(tmp_path: Path) -> None:
    library = _library(tmp_path, b__sse="data: 1\n\n", a__json="{}", a__meta__json="{}", a__timing="1", notes__md="x")
    assert library.names() == ["a", "b"]


def test_names_with_dots_and_dashes_keep_them(tmp_path: Path) -> None:
    (tmp_path / "house--model-3.5--x.sse").write_bytes(b"data: 1\n\n")
    (tmp_path / "house--model-3.5--x.timing").write_text("7")
    assert _found(Library(tmp_path), "house--model-3.5--x").pieces == ((0.007, b"data: 1\n\n"),)


def test_a_stream_gets_the_sse_file_and_a_whole_request_the_json_file(tmp_path: Path) -> None:
    library = _library(tmp_path, m__sse="data: 1\n\n", m__json='{"whole": true}')
    assert _found(library, "m", stream=True).media_type.startswith("text/event-stream")
    assert _found(library, "m", stream=False).body == b'{"whole": true}'


@pytest.mark.parametrize("stream", [True, False])
def test_the_only_file_is_served_whatever_was_asked(tmp_path: Path, stream: bool) -> None:
    library = _library(tmp_path, m__json="{}")
    assert _found(library, "m", stream=stream).media_type == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"data: 1\n\ndata: 2\n\n",
        b"data: 1\r\n\r\n: comment\r\n\r\ndata: 2\r\n\r\n",
        b"data: 1\r\rdata: 2",
        b"\n\ndata: 1\n\n\n\ndata: 2\n",
        b"event: x\ndata: 1\ndata: 2\n\n",
        "data: \u2028 \x85\n\n".encode(),
        b"",
    ],
)
def test_the_pieces_of_a_stream_are_its_bytes(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "m.sse").write_bytes(body)
    assert _found(Library(tmp_path), "m").body == body


def test_a_stream_is_cut_behind_each_event_whatever_its_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "m.sse").write_bytes(b"event: a\r\ndata: 1\r\n\r\n: c\r\n\r\ndata: 2\n\ndata: [DONE]\n\n")
    assert _found(Library(tmp_path), "m").events == [
        b"event: a\r\ndata: 1\r\n\r\n",
        b": c\r\n\r\n",
        b"data: 2\n\n",
        b"data: [DONE]\n\n",
    ]


def test_timing_repeats_and_goes_on_with_its_last_wait(tmp_path: Path) -> None:
    events = "".join(f"data: {n}\n\n" for n in range(7))
    library = _library(tmp_path, m__sse=events, m__timing="# pace\n500 20x2 0  # two in one read\n12.5")
    assert [wait for wait, _ in _found(library, "m").pieces] == [0.5, 0.02, 0.02, 0.0, 0.0125, 0.0125, 0.0125]


def test_a_stream_without_timing_has_a_default_pace(tmp_path: Path) -> None:
    library = _library(tmp_path, m__sse="data: 1\n\ndata: 2\n\ndata: 3\n\n")
    assert [wait for wait, _ in _found(library, "m").pieces] == [FIRST_WAIT_S, WAIT_S, WAIT_S]


@pytest.mark.parametrize("timing", ["fast", "20x", "-5", "20 x3", "1e3", "", "# nothing"])
def test_wrong_timing_is_told_with_its_file(tmp_path: Path, timing: str) -> None:
    library = _library(tmp_path, m__sse="data: 1\n\n", m__timing=timing)
    with pytest.raises(RecordingError, match=r"m\.timing"):
        library.find("m")


def test_wrong_timing_is_told_with_its_line(tmp_path: Path) -> None:
    library = _library(tmp_path, m__sse="data: 1\n\n", m__timing="10\n\n20 soon")
    with pytest.raises(RecordingError, match=r"m\.timing:3: 'soon'"):
        library.find("m")


@pytest.mark.parametrize(
    ("meta", "status"), [('{"http_status": 429}', 429), ("{}", 200), ("[]", 200), ('{"http_status": "x"}', 200)]
)
def test_meta_gives_the_status(tmp_path: Path, meta: str, status: int) -> None:
    library = _library(tmp_path, m__json="{}", m__meta__json=meta)
    assert _found(library, "m").status == status


def test_side_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    library = _library(tmp_path, a__sse="data: 1\n\n", b__json="{}", b__meta__json="{")
    (tmp_path / "a.timing").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordingError, match=r"a\.timing: cannot be read as text"):
        library.find("a")
    with pytest.raises(RecordingError, match=r"b\.meta\.json: cannot be read as JSON"):
        library.find("b")


def test_a_recording_that_was_deleted_is_told(tmp_path: Path) -> None:
    library = _library(tmp_path, a__json="{}")
    (tmp_path / "a.json").unlink()
    with pytest.raises(RecordingError, match=r"a\.json: No such file"):
        library.find("a")


def test_a_missing_or_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        Library(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="no recording in it"):
        Library(tmp_path)


def test_a_recording_added_later_is_found_and_an_edited_one_is_served(tmp_path: Path) -> None:
    library = _library(tmp_path, a__json="{}")
    assert library.find("b") is None
    (tmp_path / "b.json").write_text('{"b": 1}')
    assert _found(library, "b").body == b'{"b": 1}'
    (tmp_path / "b.json").write_text('{"b": 2}')
    assert _found(library, "b").body == b'{"b": 2}'


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/m", "", ".."])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    assert _library(folder, m__json="{}").find(name) is None


def test_the_own_recordings_speak_three_dialects() -> None:
    library = table.library()
    assert sorted(MODELS) == library.names()
    field, details, tags = (wire_lines(_found(library, name)) for name in MODELS)
    assert all('"content":null,"reasoning_content":"' in line for line in field)
    assert all('"reasoning":"' in line and '"reasoning_details":[{' in line for line in details)
    assert '"content":"<th"' in tags[0] and '"content":"ink>"' in tags[1]


@pytest.mark.parametrize("model", MODELS)
def test_the_own_recordings_take_about_four_seconds_and_are_cut_in_many_reads(model: str) -> None:
    recording = _found(table.library(), model)
    assert 3.0 < sum(wait for wait, _ in recording.pieces) < 4.5
    assert sum(wait > 0 for wait, _ in recording.pieces) > 100


@pytest.mark.parametrize("model", MODELS)
def test_the_usage_of_the_own_recordings_adds_up(model: str) -> None:
    payloads = [data for name, data in sse.EventParser().feed(_found(table.library(), model).body) if name is not None]
    assert payloads.pop() == sse.DONE
    chunks = [loads(payload) for payload in payloads]
    told = [usage for usage in (chunk.get("usage") for chunk in chunks) if usage]
    assert len(told) == 1
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    with_text = [delta for delta in deltas if any(value for key, value in delta.items() if key != "role")]
    assert told[0]["total_tokens"] == told[0]["prompt_tokens"] + told[0]["completion_tokens"]
    # One token a chunk, and the one that ends the text.
    assert told[0]["completion_tokens"] == len(with_text) + 1
