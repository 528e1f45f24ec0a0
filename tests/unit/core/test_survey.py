"""What is seen of a provider's way to speak, and what follows from it."""

import json
from typing import Any

import pytest

from proxy.core.dialect import Dialect, FinishReasons, Tags
from proxy.core.survey import advice, advised, read, survey
from tests.support.streams import body, chunk, message, text

PAIRS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
PROSE = "I divide by the small primes, one after the other."


def advised_for(*answers: bytes, dialect: Dialect | None = None) -> dict[str, Any]:
    return advice([survey(answer, PAIRS) for answer in answers], dialect or Dialect())


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_what_detection_reads_needs_no_advice() -> None:
    stream = body(*text(PROSE, key="reasoning_content", finish=None), *text("No."))
    seen = survey(stream, PAIRS)
    assert (seen.streamed, seen.events, seen.done, seen.words) == (True, 5, True, ("stop",))
    assert seen.texts == {"reasoning_content": len(PROSE)}
    assert advice([seen], Dialect()) == {}
    reading = read(stream, Dialect())
    assert (reading.reasoning, reading.answer, reading.source) == (PROSE, "No.", "reasoning_content")


@pytest.mark.parametrize("whole", [False, True])
def test_prose_under_an_unknown_key_becomes_a_field(whole: bool) -> None:
    answer = as_json(message(content="No.", musing=PROSE)) if whole else body(chunk({"musing": PROSE}), *text("No."))
    block = advised_for(answer)
    assert block == {"fields": ["musing", *Dialect().fields]}
    better = advised(Dialect(), block)
    assert read(answer, better).reasoning == PROSE
    assert advised_for(answer, dialect=better) == {}


def test_codes_and_single_words_are_no_reasoning() -> None:
    noise = {"channel": "analysis", "thought_signature": "a" * 300, "mood": "so so"}
    assert advised_for(body(chunk({**noise, "content": "No."}), *text("."))) == {}


def test_an_object_with_text_counts_as_text() -> None:
    assert survey(body(chunk({"musing": {"text": PROSE}})), PAIRS).texts == {"musing": len(PROSE)}


def test_delimiters_that_the_dialect_lacks_are_added() -> None:
    answer = body(*text(f"[THINK]{PROSE}[/THINK]", "No."))
    block = advised_for(answer)
    assert block == {"tags": {"pairs": [["[THINK]", "[/THINK]"], ["<think>", "</think>"]]}}
    reading = read(answer, advised(Dialect(), block))
    assert (reading.reasoning, reading.answer, reading.source) == (PROSE, "No.", "tags")


def test_an_end_without_a_start_means_that_the_template_wrote_it() -> None:
    answer = body(*text(f"{PROSE}</think>", "No."))
    block = advised_for(answer)
    assert block == {"tags": {"implicit_start": "when_thinking"}}
    reading = read(answer, advised(Dialect(), block))
    assert (reading.reasoning, reading.answer) == (PROSE, "No.")
    assert advised_for(answer, dialect=Dialect(tags=Tags(implicit_start="always"))) == {}


def test_a_block_in_mid_text_is_looked_for_anywhere() -> None:
    answer = as_json(message(content=f"Well. <think>{PROSE}</think>No."))
    block = advised_for(answer)
    assert block == {"tags": {"position": "anywhere"}}
    assert read(answer, advised(Dialect(), block)).reasoning == PROSE


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"type": "musing", "musing": [{"type": "text", "text": PROSE}]}, "musing[].text"),
        ({"type": "musing", "body": PROSE}, "body"),
    ],
)
def test_typed_items_get_the_path_of_their_text(item: dict[str, Any], path: str) -> None:
    answer = as_json(message(content=[item, {"type": "text", "text": "No."}]))
    block = advised_for(answer)
    assert block["content_parts"][-1] == {"type": "musing", "text": path}
    reading = read(answer, advised(Dialect(), block))
    assert (reading.reasoning, reading.answer) == (PROSE, "No.")


def test_items_without_text_say_nothing() -> None:
    items = ["x", {"type": "image"}, {"no": "type"}, {"type": "text", "text": 3}, {"type": "audio", "list": [1]}]
    assert survey(as_json(message(content=items)), PAIRS).parts == {}


def test_typed_objects_beside_the_text_are_details() -> None:
    answer = as_json(message(content="No.", traces=[{"type": "reasoning.text", "text": PROSE}]))
    block = advised_for(answer)
    assert block == {"details": "traces"}
    assert read(answer, advised(Dialect(), block)).reasoning == PROSE
    assert read(answer, advised(Dialect(details=None), block)).reasoning == PROSE


def test_a_stream_that_never_says_why_it_ends_is_inferred() -> None:
    answer = body(*text("No.", finish=None), done=False)
    block = advised_for(answer)
    assert block == {"finish_reason": {"missing": "infer"}}
    better = advised(Dialect(finish_reason=FinishReasons({"x": "stop"})), block)
    assert better.finish_reason == FinishReasons({"x": "stop"}, "infer")
    assert read(answer, better).error is None
    assert advised_for(answer, dialect=better) == {}


def test_an_answer_that_is_an_error_gives_no_advice() -> None:
    failed = body({"error": {"message": "no room"}}, done=False)
    assert advised_for(failed) == {}
    assert read(failed, Dialect()).error is not None
    assert read(failed, Dialect()).answer == ""


@pytest.mark.parametrize(
    "rubbish", [b"", b"<html>", b"[1]", b'{"choices": 3}', b"data: {\n\n", b"{}", b'{"choices": [3]}']
)
def test_rubbish_shows_nothing(rubbish: bytes) -> None:
    seen = survey(rubbish, PAIRS)
    assert (seen.texts, seen.parts, seen.details, seen.pair, seen.words) == ({}, {}, None, None, ())
    assert read(rubbish, Dialect()).error is not None


def test_the_delimiter_that_ends_first_is_the_one() -> None:
    seen = survey(as_json(message(content="<think>a</think> and [THINK]b[/THINK]")), PAIRS)
    assert (seen.pair, seen.begun, seen.leading) == (PAIRS[0], True, True)
