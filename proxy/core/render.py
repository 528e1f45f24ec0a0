"""Canonical chunks → what this client asked for (contract: the renderings of `docs/renderings.md`)."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal, cast, get_args

from proxy.core import forms
from proxy.core.chunk import Chunk
from proxy.core.per_choice import PerChoice
from proxy.core.steps import CallHold, StepHold

Form = Literal[
    "reasoning_content", "reasoning", "both", "details", "think_tags", "content_parts", "drop", "passthrough"
]
Steps = Literal["line", "paragraph"]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How reasoning is shown to one client. Text form: `think_tags; steps=line; tool_calls=complete`."""

    form: Form = "reasoning_content"
    steps: Steps | None = None
    """Reasoning leaves one complete line or paragraph at a time."""
    complete_tool_calls: bool = False
    """A tool call leaves only once it is whole and its arguments parse."""


CANONICAL = Rendering()
"""Nothing is changed."""

_OPTIONS: dict[str, tuple[str, ...]] = {"steps": get_args(Steps), "tool_calls": ("complete",)}


def parse_rendering(text: str) -> Rendering:
    """Reads the text form of a rendering; letter case and white space do not matter.

    Raises ValueError with a message that names the allowed words, and the nearest of them where one is near.
    """
    form, *options = (part.strip() for part in text.lower().split(";"))
    _require(form, get_args(Form), "rendering")
    chosen: dict[str, str] = {}
    for option in filter(None, options):
        name, _, value = (part.strip() for part in option.partition("="))
        _require(name, tuple(_OPTIONS), "rendering option")
        _require(value, _OPTIONS[name], f"value of the rendering option '{name}'")
        if name in chosen:
            raise ValueError(f"the rendering option '{name}' is given twice")
        chosen[name] = value
    if form == "passthrough" and chosen:
        raise ValueError("the rendering 'passthrough' takes no options: the upstream's bytes leave as they are")
    return Rendering(cast("Form", form), cast("Steps | None", chosen.get("steps")), "tool_calls" in chosen)


def _require(word: str, allowed: tuple[str, ...], what: str) -> None:
    if word in allowed:
        return
    near = get_close_matches(word[:40].replace("-", "_"), allowed, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"{word[:40]!r} is no {what}{hint} (allowed: {', '.join(allowed)})")


# The two forms that are not here leave everything as it is.
_FORMS: dict[Form, Callable[[], forms.Form]] = {
    "reasoning": partial(forms.Keys, "reasoning"),
    "both": partial(forms.Keys, "reasoning_content", "reasoning"),
    "details": forms.Details,
    "think_tags": forms.ThinkTags,
    "content_parts": forms.ContentParts,
    "drop": forms.Drop,
}


class Renderer:
    """Turns the canonical chunks of one stream into what its client asked for: steps first, then the form.

    A chunk that needs no change leaves as the object it is, with its `raw`; a changed one is new, and the dicts that
    were given are not touched. `passthrough` and plain `reasoning_content` change nothing.
    """

    def __init__(self, rendering: Rendering) -> None:
        self._stages: list[PerChoice] = []
        if rendering.form == "passthrough":
            return
        if rendering.steps is not None:
            self._stages.append(PerChoice(partial(StepHold, rendering.steps)))
        if rendering.complete_tool_calls:
            self._stages.append(PerChoice(CallHold))
        if rendering.form in _FORMS:
            self._stages.append(PerChoice(_FORMS[rendering.form]))

    def feed(self, chunk: Chunk) -> list[Chunk]:
        """The chunks that leave for this one, in order; may be none, where text or a tool call is held."""
        chunks = [chunk]
        for stage in self._stages:
            chunks = [out for each in chunks for out in stage.feed(each)]
        return chunks

    def close(self) -> list[Chunk]:
        """What is still held, and the end tag of an open block. To be called at the end, also ahead of an error event.

        A second call returns [].
        """
        chunks: list[Chunk] = []
        for stage in self._stages:
            chunks = [out for each in chunks for out in stage.feed(each)] + stage.close()
        return chunks


def render_whole(body: dict[str, Any], rendering: Rendering) -> dict[str, Any]:
    """A whole canonical answer in the form of `rendering`; `body` itself where nothing changes. It is not modified.

    Steps and complete tool calls mean nothing here: a whole answer has both.
    """
    if keeps_whole(rendering):
        return body
    make = _FORMS[rendering.form]
    rendered = [make().whole(choice) if isinstance(choice.get("message"), dict) else None for choice in body["choices"]]
    if rendered.count(None) == len(rendered):
        return body
    choices = [new if new is not None else old for old, new in zip(body["choices"], rendered, strict=True)]
    return {**body, "choices": choices}


def keeps_whole(rendering: Rendering) -> bool:
    """Whether whole canonical answers leave as they are, whatever they say."""
    return rendering.form not in _FORMS
