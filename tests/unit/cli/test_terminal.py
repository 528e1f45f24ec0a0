"""Colour and the two voices of an answer."""

import io

import pytest

from proxy.cli import figures
from proxy.cli.terminal import Transcript, is_coloured, paint
from proxy.core.timeline import Timeline


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def _say(transcript: Transcript, *pieces: str) -> None:
    for piece in pieces:
        voice, _, text = piece.partition(":")
        (transcript.reasoning if voice == "r" else transcript.answer)(text)
    transcript.close()


def test_colour_needs_a_terminal_that_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_coloured(Terminal())
    assert not is_coloured(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_coloured(Terminal())


def test_no_color_is_respected_unless_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red", Terminal()) == "x"


def test_on_a_terminal_reasoning_is_dim_and_the_answer_follows_on_its_own_line() -> None:
    out = Terminal()
    _say(Transcript(out, out), "r:why", "a:be", "a:cause")
    assert out.getvalue() == "\x1b[2mwhy\x1b[0m\nbecause\n"


def test_without_colour_headings_tell_reasoning_and_answer_apart() -> None:
    out = io.StringIO()
    _say(Transcript(out, out), "r:why\n", "a:because", "r:hm", "a:yes\n")
    assert out.getvalue() == "[reasoning]\nwhy\n[answer]\nbecause\n[reasoning]\nhm\n[answer]\nyes\n"


def test_two_streams_get_one_voice_each_and_the_answer_is_never_broken() -> None:
    err, out = io.StringIO(), io.StringIO()
    _say(Transcript(err, out), "r:why", "a:be", "r:hm", "a:cause")
    assert (err.getvalue(), out.getvalue()) == ("why\nhm\n", "because\n")


def test_empty_text_changes_nothing() -> None:
    out = io.StringIO()
    _say(Transcript(out, out), "r:", "a:")
    assert out.getvalue() == ""


def test_escape_sequences_of_a_model_do_not_reach_a_terminal_but_a_pipe_gets_them() -> None:
    screen, pipe = Terminal(), io.StringIO()
    _say(Transcript(screen, screen), "a:\x1b]0;title\x07\tx\x9b2J")
    _say(Transcript(io.StringIO(), pipe), "a:\x1b[31m")
    assert screen.getvalue() == "\ufffd]0;title\ufffd\tx\ufffd2J\n"
    assert pipe.getvalue() == "\x1b[31m\n"


def test_the_line_of_figures_gives_times_and_tokens() -> None:
    timeline = Timeline(10.0)
    timeline.reasoning(10.5)
    timeline.answer(12.25)
    timeline.end(13.0)
    timeline.usage = {
        "prompt_tokens": 7,
        "completion_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    assert figures.line(timeline) == (
        "first chunk 0.50 s | first reasoning 0.50 s | first answer 2.25 s | total 3.00 s"
        " | tokens 7 in, 30 out (20 reasoning, 10 answer)"
    )


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, "tokens -"),
        ({"prompt_tokens": 1, "completion_tokens": 2}, "tokens 1 in, 2 out"),
        ({"completion_tokens": 2, "completion_tokens_details": None}, "tokens - in, 2 out"),
    ],
)
def test_what_was_not_reported_is_not_invented(usage: dict[str, object] | None, told: str) -> None:
    timeline = Timeline(0.0, usage=usage)
    timeline.end(1.0)
    assert figures.line(timeline) == f"first chunk - | first reasoning - | first answer - | total 1.00 s | {told}"
