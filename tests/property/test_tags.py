"""Splitting text by delimiters does not depend on how the text was cut, and loses nothing."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.core.dialect import Tags
from proxy.core.splitter import Mark, TagSplitter
from proxy.core.tags import MAX_HELD_WHITE, grammar
from tests.support.strategies import cuts, delimited, pieces, tag_settings

FLAG = (("<thought>", "</thought>"),)


def split(tags: Tags, parts: list[str], *, inside: bool = False, stopped: bool = False) -> tuple[str, str]:
    """(reasoning, answer)."""
    splitter = TagSplitter(grammar(tags, FLAG), inside=inside)
    said = [piece for part in parts for piece in splitter.feed(part)] + splitter.close(stopped=stopped)
    assert all(text for _, text in said)
    return "".join(text for r, text in said if r), "".join(text for r, text in said if not r)


@settings(max_examples=250)
@given(st.data(), tag_settings(), st.booleans(), st.booleans(), cuts)
def test_any_cut_splits_as_the_whole_does(
    data: st.DataObject, tags: Tags, inside: bool, stopped: bool, places: list[int]
) -> None:
    text = data.draw(delimited(tags))
    expected = split(tags, [text], inside=inside, stopped=stopped)
    assert split(tags, pieces(text, places), inside=inside, stopped=stopped) == expected
    assert split(tags, list(text), inside=inside, stopped=stopped) == expected


@settings(max_examples=40)
@given(tag_settings(), st.sampled_from([" ", "\n", " \n"]), st.integers(-2, 2), st.sampled_from(["", "<think>a"]), cuts)
def test_any_cut_of_endless_white_space_splits_as_the_whole_does(
    tags: Tags, white: str, more: int, head: str, places: list[int]
) -> None:
    text = head + white * (MAX_HELD_WHITE // len(white) + more) + "<think>b</think> c"
    expected = split(tags, [text])
    assert split(tags, pieces(text, places)) == expected
    assert split(tags, list(text)) == expected


@settings(max_examples=120)
@given(st.data(), tag_settings(), cuts)
def test_without_trimming_only_delimiters_and_labels_leave(data: st.DataObject, tags: Tags, places: list[int]) -> None:
    assume(tags.trim == "none")
    text = data.draw(delimited(tags))
    splitter = TagSplitter(grammar(tags))
    said = [piece for part in pieces(text, places) for piece in splitter.feed(part)] + splitter.close()
    words = [*(w for pair in (*tags.pairs, *tags.answer_wrapper) for w in pair), *tags.labels]
    places_reached = _skipping(text, {0}, words, fold=not tags.case_sensitive)
    for char in "".join(spoken for _, spoken in said):
        stepped = {at + 1 for at in places_reached if text[at : at + 1] == char}
        places_reached = _skipping(text, stepped, words, fold=not tags.case_sensitive)
    assert len(text) in places_reached


def _skipping(text: str, places: set[int], words: list[str], *, fold: bool) -> set[int]:
    """The places, and those that leaving out delimiters leads to."""
    reached, new = set(places), list(places)
    while new:
        at = new.pop()
        for word in words:
            here = text[at : at + len(word)]
            if (here == word or (fold and here.lower() == word.lower())) and at + len(word) not in reached:
                reached.add(at + len(word))
                new.append(at + len(word))
    return reached


@settings(max_examples=150)
@given(st.data(), tag_settings(), cuts)
def test_less_is_held_than_the_longest_delimiter_and_the_white_space(
    data: st.DataObject, tags: Tags, places: list[int]
) -> None:
    text = data.draw(delimited(tags))
    words = [w for start, end in (*tags.pairs, *tags.answer_wrapper, *FLAG) for w in (start, end)]
    longest = max(len(w) for w in (*words, *tags.implicit_end)) + max((len(label) for label in tags.labels), default=0)
    splitter = TagSplitter(grammar(tags, FLAG))
    for part in pieces(text, places):
        splitter.feed(part)
        assert len(splitter._text.strip()) < longest
        assert len(splitter._text) <= longest + MAX_HELD_WHITE


_inside = ("a", " ", "\n", "<thought>", "</tho")  # flagged text that holds a whole end says two things at once
_outside = (*_inside, "</thought>", "ught>", "b")
flagged = st.lists(
    st.tuples(st.just(Mark.REASONING), st.sampled_from(_inside))
    | st.tuples(st.sampled_from([Mark.NONE, Mark.MAYBE]), st.sampled_from(_outside)),
    max_size=8,
)


@settings(max_examples=200)
@given(flagged, st.sampled_from(["none", "inner", "both"]), st.data())
def test_any_cut_of_flagged_text_splits_as_the_whole_does(
    said: list[tuple[Mark, str]], trim: str, data: st.DataObject
) -> None:
    tags = Tags(pairs=(), answer_wrapper=(), trim=trim)  # type: ignore[arg-type]
    runs: list[tuple[Mark, str]] = []
    for mark, text in said:
        if runs and runs[-1][0] is mark:
            runs[-1] = (mark, runs[-1][1] + text)
        else:
            runs.append((mark, text))
    results = []
    for cutter in (lambda text: [text], list, lambda text: pieces(text, data.draw(cuts))):
        splitter = TagSplitter(grammar(tags, FLAG))
        out = [piece for mark, text in runs for part in cutter(text) if part for piece in splitter.feed(part, mark)]
        out += splitter.close()
        results.append(("".join(t for r, t in out if r), "".join(t for r, t in out if not r)))
    assert results[0] == results[1] == results[2]
