"""What is passed on as bytes, and what is parsed instead."""

import json
from typing import Any

import pytest

from proxy.core import byte_path
from proxy.core.byte_path import CREDIT, MAX_FRAMES, PATIENCE, PROBE, BytePath
from proxy.core.dialect import Dialect, Tags
from proxy.core.frame import Frame
from proxy.core.normalizer import Normalizer
from tests.support.paths import both
from tests.support.streams import DONE, body, chunk, context, dumped, event

ROLE = {"role": "assistant", "content": ""}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


class Stream:
    """A normalizer and its byte path. `send` gives what leaves and whether it went by the byte path."""

    def __init__(self, *opening: dict[str, Any], dialect: Dialect | None = None) -> None:
        self.normalizer = Normalizer(context(dialect))
        self.path = BytePath(self.normalizer)
        for delta in (ROLE, *opening):
            self.normalizer.feed(dumped(chunk(delta)))

    def send(self, value: Any, *, lead: bytes = b"data: ") -> tuple[bytes, bool]:
        block = lead + (value if isinstance(value, bytes) else dumped(value))
        taken = self.path.take(block + b"\n\n", 0)
        if taken is not None:
            assert taken[0] == len(block) + 2
            return taken[1], True
        chunks = self.normalizer.feed(block[len(lead) :])
        self.path.learn(block)
        return b"".join(event(dumped(one.data) if one.raw is None else one.raw) for one in chunks), False

    def said(self, *deltas: dict[str, Any]) -> list[tuple[dict[str, Any], bool]]:
        found = []
        for delta in deltas:
            out, taken = self.send(chunk(delta))
            found += [(json.loads(one[6:])["choices"][0]["delta"], taken) for one in out.split(b"\n\n")[:-1]]
        return found


def test_an_event_whose_text_stands_in_two_places_shows_the_frame_of_those_that_follow_the_second() -> None:
    found = Stream().said(*({"reasoning": one, "thinking": one} for one in "abcd"))
    assert found == [({"reasoning_content": one}, one in "cd") for one in "abcd"]


@pytest.mark.parametrize(
    ("texts", "taken"),
    [
        ("abc", [False, True, True]),
        (["m-1", "b", "c"], [False, False, True]),  # which stands elsewhere too
        (["m-1", "assistant", "up-1", "d"], [False, False, True, True]),
    ],
)
@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_an_event_whose_text_stands_in_one_place_shows_its_frame_at_once(
    key: str, texts: list[str], taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_path, "PATIENCE", PATIENCE)
    found = Stream().said(*({key: one} for one in texts))
    assert found == [({"reasoning_content": one}, way) for one, way in zip(texts, taken, strict=True)]


def test_a_short_stream_pays_for_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_path, "PATIENCE", PATIENCE)
    found = Stream().said(*({"reasoning": one, "thinking": one} for one in "abcdefghijkl"))
    assert [taken for _, taken in found] == [False] * PATIENCE + [True] * (12 - PATIENCE)


@pytest.mark.parametrize(
    ("opening", "given", "left"),
    [
        ([], {"reasoning_content": "{}"}, {"reasoning_content": "{}"}),
        ([], {"thinking": "{}", "content": None}, {"reasoning_content": "{}", "content": None}),
        ([], {"reasoning": "{}", "reasoning_content": "{}"}, {"reasoning_content": "{}"}),
        (
            [],
            {"role": "assistant", "reasoning": "{}", "reasoning_details": [{"type": "reasoning.text", "text": "{}"}]},
            {"reasoning_content": "{}", "reasoning_details": [{"type": "reasoning.text", "text": "{}"}]},
        ),
        ([{"content": "x"}], {"content": "{}", "reasoning": None}, {"content": "{}", "reasoning": None}),
        ([{"content": "x"}], {"role": "assistant", "content": "{}"}, {"content": "{}"}),
        ([{"content": "<think>a"}], {"content": "{}"}, {"reasoning_content": "{}"}),
        (
            [{"tool_calls": [CALL]}],
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        ),
    ],
)
def test_each_way_of_saying_a_text_has_a_frame(
    opening: list[dict[str, Any]], given: dict[str, Any], left: dict[str, Any]
) -> None:
    def told(delta: dict[str, Any], text: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(json.dumps(delta).replace("{}", text))
        return value

    stream = Stream(*opening)
    found = stream.said(*(told(given, f" word{at}") for at in range(4)))
    assert [delta for delta, _ in found] == [told(left, f" word{at}") for at in range(4)]
    in_one_place = json.dumps(given).count("{}") == 1
    assert [taken for _, taken in found] == [False, in_one_place, True, True]


def test_escapes_leave_as_the_parser_would_write_them() -> None:
    stream = Stream()
    stream.said({"reasoning": "a"}, {"reasoning": "b"})
    value = dumped(chunk({"reasoning": "TEXT"})).replace(b"TEXT", rb"\u00e9\/\" \ud83d\ude00")
    assert stream.send(value) == (event(chunk({"reasoning_content": 'é/" 😀'})), True)


def test_a_stream_without_a_space_before_its_json_keeps_its_texts_as_they_came() -> None:
    stream = Stream()
    for one in "ab":
        stream.send(chunk({"reasoning_content": one}), lead=b"data:")
    value = dumped(chunk({"reasoning_content": "TEXT"})).replace(b"TEXT", rb"\u00e9")
    assert stream.send(value, lead=b"data:") == (event(value), True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'"',
        rb"\x",
        rb"\ud83d",
        b"\xff",
        b"\x00",
        b"\t",
        rb"a\\\"\q",
        rb'a","content":"b',
        rb'a"},"index":1,"delta":{"x":"',
    ],
)
def test_what_is_no_inside_of_a_string_is_parsed(text: bytes) -> None:
    stream = Stream()
    stream.said({"reasoning": "a"}, {"reasoning": "b"})
    block = b"data: " + dumped(chunk({"reasoning": "TEXT"})).replace(b"TEXT", text) + b"\n\n"
    assert stream.path.take(block, 0) is None


def test_one_bad_text_sends_its_run_to_the_parser_and_no_further_read() -> None:
    stream = Stream()
    stream.said({"reasoning": "a"}, {"reasoning": "b"})
    good = event(chunk({"reasoning": "c"}))
    bad = event(dumped(chunk({"reasoning": "TEXT"})).replace(b"TEXT", rb"\ud83d"))
    assert stream.path.take(good + bad + good, 0) is None
    assert stream.path.take(good + bad + good, len(good + bad)) is None
    assert stream.path.take(good, 0) is not None


def test_a_line_that_ends_inside_a_text_sends_its_run_to_the_parser() -> None:
    stream = Stream({"content": "<think>a"})
    stream.said({"content": "b"})
    events = [event(chunk({"content": one})) for one in ("c", "a <", "TEXT", "d")]
    assert stream.path.take(b"".join(events), 0) is not None
    assert stream.path.take(b"".join(events).replace(b"TEXT", b"e\nf"), 0) is None


@pytest.mark.parametrize(
    ("text", "taken"), [("word", True), ("a <b", False), ("a\n", False), ("a ", False), ("\\u003c", False)]
)
def test_text_in_a_block_is_parsed_where_it_could_end_it_or_must_wait(text: str, taken: bool) -> None:
    stream = Stream({"content": "<think>a"})
    stream.said({"content": "b"}, {"content": "c"})
    value = dumped(chunk({"content": "TEXT"})).replace(b"TEXT", text.replace("\n", "\\n").encode())
    assert stream.send(value)[1] is taken


def test_a_frame_means_something_else_behind_the_block() -> None:
    stream = Stream({"content": "<think>a"})
    texts = ("b", "c", "d", "</think>", "x", "y", "z", "w")
    found = stream.said(*({"content": one} for one in texts))
    assert [next(iter(delta)) for delta, _ in found] == ["reasoning_content"] * 3 + ["content"] * 4
    assert [taken for _, taken in found] == [False, True, True, False, False, True, True]


def test_text_without_delimiters_passes_where_they_are_looked_for_everywhere() -> None:
    stream = Stream({"content": "x"}, dialect=Dialect(tags=Tags(position="anywhere", blocks="all")))
    found = stream.said(*({"content": one} for one in ("a", "b", "c ", "<think>d", "e", "f", "g")))
    assert [taken for _, taken in found] == [False, True, True, False, False, True, True]


def test_a_host_that_changes_something_in_every_event_is_soon_left_alone() -> None:
    stream = Stream()
    for at in range(20):
        assert not stream.send(chunk({"reasoning": "a"}, system_fingerprint=f"{at}"))[1]
    assert len(stream.path.frames) <= CREDIT


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "content"])
def test_a_padding_at_the_end_of_each_event_may_differ(key: str) -> None:
    stream = Stream({"content": "<think>a"}) if key == "content" else Stream()
    events = [chunk({key: f"w{at}"}, obfuscation="x" * (7 - at)) for at in range(6)]
    found = [stream.send(one) for one in events]
    left = [chunk({"reasoning_content": f"w{at}"}, obfuscation="x" * (7 - at)) for at in range(6)]
    assert [out for out, _ in found] == [event(one) for one in left]
    assert [taken for _, taken in found] == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    "end", [b'"x\\n"}', b'"x y"}', b'"x","usage":{}}', b'"x"} ', b'"x"]', b'"",""}', b"null}", b'"x', b"1}"]
)
def test_what_is_no_padding_is_parsed(end: bytes) -> None:
    stream = Stream()
    padded = dumped(chunk({"reasoning": "a"}, obfuscation="END"))
    stream.send(padded)
    stream.send(padded)
    assert stream.send(padded)[1]
    assert stream.path.take(b"data: " + padded.replace(b'"END"}', end) + b"\n\n", 0) is None


@pytest.mark.parametrize(
    "value",
    [
        chunk({"reasoning": "a", "reasoning_content": "a"}, obfuscation="x"),
        {key: value for key, value in chunk({"reasoning": "a"}, obfuscation="x").items() if key != "model"},
    ],
)
def test_a_padded_event_of_which_more_changes_gives_no_frame(value: dict[str, Any]) -> None:
    stream = Stream()
    assert [stream.send(value)[1] for _ in range(4)] == [False] * 4


def test_frames_are_few() -> None:
    stream = Stream()
    for key in ("reasoning", "thinking", "thought", "think", "reasoning_text", "thinking_content"):
        taken = [stream.send(chunk({key: one}))[1] for one in "abcd"]
        assert taken[-1]
    assert len(stream.path.frames) == MAX_FRAMES


@pytest.mark.parametrize(
    "value",
    [
        dumped(chunk({"reasoning": "assistant", "role": "assistant"})),
        dumped(chunk({"reasoning": "a"}, system_fingerprint="\\")),
        dumped(chunk({"reasoning": "a", "thinking": "a"}, system_fingerprint=PROBE)),
        dumped(chunk({"reasoning": "a"})).replace(b'"index"', b'"logprobs":' + b"[" * 300 + b"]" * 300 + b',"index"'),
        dumped(chunk({"reasoning": "a"})).replace(b"{", b"{\n", 1),
    ],
)
def test_an_event_that_could_hide_something_gives_no_frame(value: bytes) -> None:
    stream = Stream()
    assert [stream.send(value)[1] for _ in range(5)] == [False] * 5
    assert not stream.path.frames


def test_a_text_that_is_also_the_beginning_of_a_key_gives_no_frame() -> None:
    stream = Stream()
    value = dumped(chunk({"reasoning": ","}))
    assert [stream.send(value)[1] for _ in range(4)] == [False] * 4


def test_a_delimiter_made_of_common_letters_lets_texts_without_them_pass() -> None:
    stream = Stream({"content": "the start"}, dialect=Dialect(tags=Tags(pairs=(("the", "end"),))))
    found = stream.said(*({"content": one} for one in ("ab", "cd", "be", "ab", "cd", "en", "d", "x")))
    said = ["ab", "cd", "b", "eab"]
    assert [delta for delta, _ in found] == [{"reasoning_content": one} for one in [*said, "cd"]] + [{"content": "x"}]
    assert [taken for _, taken in found] == [False, True, False, False, True, False]


def test_a_delimiter_made_of_common_letters_gives_no_frame_that_wants_a_probe() -> None:
    stream = Stream({"content": "the start"}, dialect=Dialect(tags=Tags(pairs=(("the", "end"),))))
    assert [stream.send(chunk({"content": "ab"}), lead=b"data:")[1] for _ in range(4)] == [False] * 4


def test_a_text_that_is_also_what_the_event_lacked_shows_no_frame() -> None:
    stream = Stream()
    events = [chunk({"reasoning": one}) for one in ("m-1", "b", "c")]
    for one in events:
        del one["model"]  # the answer's is put there
    assert [stream.send(one)[1] for one in events] == [False, False, True]


def test_two_choices_that_take_turns_have_their_frames() -> None:
    stream = Stream()
    stream.send(chunk(ROLE, index=1))
    taken = [stream.send(chunk({"reasoning": f"{at}"}, index=at % 2))[1] for at in range(8)]
    assert taken == [False] * 2 + [True] * 6


def test_a_read_that_ends_inside_an_event_gives_what_is_whole() -> None:
    data = body(chunk(ROLE), *(chunk({"reasoning": one}) for one in "abcdef"), chunk({}, "stop"))
    cut = data.index(b'"e"')
    shown = both([data[:cut], data[cut:]], context())
    assert shown.reads[0][0].count(b"reasoning_content") == 4
    assert shown.out.endswith(DONE)


def test_repeated_fields_are_counted_on_either_path() -> None:
    deltas = [{"reasoning": one, "reasoning_content": one} for one in ("a", "b", "c", "d", "e")]
    shown = both([body(chunk(ROLE), *map(chunk, deltas), chunk({}, "stop"))], context())
    assert shown.timeline.events == {"both_reasoning_fields": 5}


def test_what_was_said_as_bytes_is_known_to_a_source_that_repeats_it() -> None:
    texts = [f"word {at}, " for at in range(60)]
    whole = "".join(texts)
    deltas: list[dict[str, Any]] = [{"reasoning": one} for one in texts]
    deltas.append({"reasoning_details": [{"type": "reasoning.text", "text": whole}]})
    data = body(chunk(ROLE), *map(chunk, deltas), chunk({}, "stop"))
    for pieces in ([data], [data[at : at + 700] for at in range(0, len(data), 700)]):
        out = both(pieces, context()).out
        said = [json.loads(one[6:])["choices"][0]["delta"].get("reasoning_content") for one in out.split(b"\n\n")[:-2]]
        assert "".join(filter(None, said)) == whole


def test_arguments_in_pieces_are_followed_on_either_path() -> None:
    pieces = ['{"a', '": "', "\\", '"', "}", '"', "}"]
    parts = [{"index": 0, "function": {"arguments": one}} for one in pieces]
    again = {"index": 0, "id": "d", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    entries = [CALL, *parts, again]
    data = body(chunk(ROLE), *(chunk({"tool_calls": [one]}) for one in entries), chunk({}, "tool_calls"))
    out = both([data], context()).out
    assert b'"index":1,"id":"d"' in out


@pytest.mark.parametrize("tags", [Tags(), Tags(trim="none"), Tags(position="anywhere", blocks="all", trim="inner")])
def test_a_run_in_one_read_goes_on_behind_each_text_that_was_parsed(
    tags: Tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    texts_of = Frame.texts

    def counted(frame: Frame, data: bytes, at: int) -> tuple[list[bytes], int]:
        found = texts_of(frame, data, at)
        looked.append(len(found[0]))
        return found

    monkeypatch.setattr(Frame, "texts", counted)
    words = ["<think>", *"abcd", "e ", *"fgh", "i\n", "\n", *"jkl", "a < b", *"mno", "\u00e9", "p|", " |", *"qrs"]
    words += ["</think>", *"tuvw", "x ", "<", *"yz"]
    data = body(chunk(ROLE), *(chunk({"content": one}) for one in words), chunk({}, "stop"))
    out = both([data], context(Dialect(tags=tags))).out
    assert "".join(words).encode() not in out
    assert sum(looked) <= len(words), "an event was looked at twice"
    assert max(looked) > 10


def test_an_escape_in_front_of_a_quote_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ['say "x"', "\\", 'a"', "\\\\", '"', "b"]
    deltas = [{"reasoning": one, "reasoning_content": one} for one in ["a", "b", *words, "c"]]
    data = body(chunk(ROLE), *map(chunk, deltas), chunk({}, "stop"))
    said = [json.loads(one[6:])["choices"][0]["delta"] for one in both([data], context()).out.split(b"\n\n")[:-2]]
    assert "".join(one.get("reasoning_content", "") for one in said) == "ab" + "".join(words) + "c"


@pytest.mark.parametrize("other", ["", "not the same", "the same, and more"])
def test_a_text_that_is_not_said_twice_ends_a_run_of_those_that_are(other: str) -> None:
    def twice(text: str, again: str) -> bytes:
        return event(chunk({"reasoning": text, "reasoning_content": again}))

    same = twice("the same", "the same")
    both([same * 6 + twice("the same", other) + same * 2 + twice("", other) + DONE], context())
