"""What a recorded answer shows of how its provider speaks, and the YAML that reads it (`reasoning-proxy doctor`)."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.core import codec, sse
from proxy.core.chunk import COMMON
from proxy.core.context import AnswerContext
from proxy.core.dialect import ContentPart, Details, Dialect
from proxy.core.errors import ProxyError
from proxy.core.render import Rendering
from proxy.core.stream import WholePipeline
from proxy.core.timeline import Timeline

Pair = tuple[str, str]

LEAST = 24
"""Characters of prose under an unknown key from which on it is taken for reasoning."""
_ANSWERS = frozenset({"text", "output_text", "refusal"})
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Survey:
    """What the upstream itself wrote, before anything was read out of it."""

    streamed: bool
    events: int
    """Events with JSON, or 1 for a whole body."""
    done: bool
    """Whether `[DONE]` or an error came; True for a whole body."""
    texts: Mapping[str, int]
    """Key of prose beside `content` → its characters, in the order in which they came; words and codes are left out."""
    parts: Mapping[str, str]
    """Type of an item of a list-typed `content` that is no answer text → the path of its text."""
    details: str | None
    """Key of a list of typed reasoning objects."""
    pair: Pair | None
    """Delimiters in `content`, of those that were looked for."""
    begun: bool
    """Whether the start delimiter came too; False: the chat template had written it."""
    leading: bool
    """Whether nothing but white space preceded the block."""
    words: tuple[str, ...]
    """Finish reasons as they came."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the core makes of an answer under a dialect."""

    reasoning: str
    answer: str
    calls: int
    finish_reason: str | None
    usage: Mapping[str, Any] | None
    source: str | None
    """Where reasoning was seen: a field's name, `details`, `content_parts`, `tags`, or None."""
    odd: Mapping[str, int]
    """Oddities met, kind → count."""
    error: ProxyError | None


def survey(body: bytes, pairs: Iterable[Pair]) -> Survey:
    """Looks at one answer, SSE or JSON, for the keys and types in it and for the delimiters `pairs`. Never raises."""
    streamed, done, values = _values(body)
    texts: dict[str, list[str]] = {}
    parts: dict[str, str] = {}
    words: dict[str, None] = {}
    details: str | None = None
    content: list[str] = []
    for choice in _choices(values):
        if isinstance(word := choice.get("finish_reason"), str) and word:
            words[word] = None
        said = choice.get("delta") if isinstance(choice.get("delta"), dict) else choice.get("message")
        for key, value in (said if isinstance(said, dict) else {}).items():
            text = value.get("text") if isinstance(value, dict) else value
            if key == "content":
                content += _content(value, parts)
            elif isinstance(text, str) and text and key not in COMMON:
                texts.setdefault(key, []).append(text)
            elif key != "tool_calls" and _is_details(value):
                details = key
    pair, begun, leading = _delimiters("".join(content), pairs)
    prose = {key: "".join(said) for key, said in texts.items()}
    sizes = {key: len(text) for key, text in prose.items() if " " in text}
    done = done or any(value.get("error") for value in values)
    return Survey(streamed, len(values), done, sizes, parts, details, pair, begun, leading, tuple(words))


def read(body: bytes, dialect: Dialect, *, reasoning: bool = True) -> Reading:
    """The answer as a client that asked for no stream would get it, under `dialect`. Never raises.

    `reasoning`: whether the request made the model reason.
    """
    timeline = Timeline(0.0)
    context = AnswerContext(
        dialect, Rendering(), model="surveyed", fresh=lambda: ("chatcmpl-surveyed", 1), thinking=reasoning
    )
    pipeline = WholePipeline(context, timeline)
    pipeline.feed(body, 0.0)
    given = pipeline.close(0.0)
    answer = codec.loads(given) if given else {"choices": []}
    message = answer["choices"][0]["message"] if answer["choices"] else {}
    content = message.get("content")
    return Reading(
        message.get("reasoning_content") or "",
        content if isinstance(content, str) else "",
        len(message.get("tool_calls") or ()),
        timeline.finish_reason,
        timeline.usage,
        pipeline.source,
        dict(timeline.events),
        pipeline.error,
    )


def advice(surveys: Sequence[Survey], dialect: Dialect) -> dict[str, Any]:
    """The keys of `response:` that `dialect` lacks to read answers such as these; empty where it lacks none."""
    block: dict[str, Any] = {}
    unread = [key for key in _texts(surveys) if key not in dialect.fields]
    if unread:
        block["fields"] = [*unread, *dialect.fields]
    details = next((one.details for one in surveys if one.details), None)
    if details and (dialect.details is None or dialect.details.field != details):
        block["details"] = details
    known = {part.type for part in dialect.content_parts}
    parts = {kind: path for one in surveys for kind, path in one.parts.items() if kind not in known}
    if parts:
        given = [{"type": part.type, "text": part.text} for part in dialect.content_parts]
        block["content_parts"] = [*given, *({"type": kind, "text": path} for kind, path in parts.items())]
    tags = _tags(surveys, dialect)
    if tags:
        block["tags"] = tags
    if dialect.finish_reason.missing == "error" and any(not (one.done or one.words) for one in surveys):
        block["finish_reason"] = {"missing": "infer"}
    return block


def advised(dialect: Dialect, block: Mapping[str, Any]) -> Dialect:
    """The dialect with what `advice` gave."""
    changes: dict[str, Any] = {}
    if "fields" in block:
        changes["fields"] = tuple(block["fields"])
    if "details" in block:
        changes["details"] = dataclasses.replace(dialect.details or Details(), field=block["details"])
    if "content_parts" in block:
        changes["content_parts"] = tuple(ContentPart(part["type"], part["text"]) for part in block["content_parts"])
    if "tags" in block:
        tags = dict(block["tags"])
        if "pairs" in tags:
            tags["pairs"] = tuple(map(tuple, tags["pairs"]))
        changes["tags"] = dataclasses.replace(dialect.tags, **tags)
    if "finish_reason" in block:
        changes["finish_reason"] = dataclasses.replace(dialect.finish_reason, **block["finish_reason"])
    return dataclasses.replace(dialect, **changes)


def _values(body: bytes) -> tuple[bool, bool, list[dict[str, Any]]]:
    """Whether it is SSE, whether it came to its end, and the JSON objects in it."""
    head = body.lstrip().removeprefix(_BOM).lstrip()
    if head[:1] in (b"{", b"["):
        return False, True, _objects([head])
    parser = sse.EventParser()
    data = [text for name, text in [*parser.feed(body), *parser.close()] if name is not None]
    return True, any(text.strip() == sse.DONE for text in data), _objects(data)


def _objects(texts: Iterable[bytes]) -> list[dict[str, Any]]:
    found = []
    for text in texts:
        try:
            value = codec.loads_first(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _choices(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each first choice: the others speak as it does."""
    listed = [value.get("choices") for value in values]
    return [choices[0] for choices in listed if isinstance(choices, list) and choices and isinstance(choices[0], dict)]


def _content(value: Any, parts: dict[str, str]) -> list[str]:
    """The texts of `content`; the types of other items than answer text go to `parts`."""
    if isinstance(value, str):
        return [value]
    texts = []
    for item in value if isinstance(value, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _ANSWERS and isinstance(item.get("text"), str):
            texts.append(item["text"])
        elif isinstance(kind, str) and (path := _path_of_text(item)):
            parts[kind] = path
    return texts


def _path_of_text(item: Mapping[str, Any]) -> str | None:
    """Where an item has its text: `text`, or `text` in the objects of a list."""
    for key, value in item.items():
        if key != "type" and isinstance(value, str) and value:
            return key
        if isinstance(value, list) and value and isinstance(value[0], dict) and isinstance(value[0].get("text"), str):
            return f"{key}[].text"
    return None


def _is_details(value: Any) -> bool:
    """Whether this is a list of typed reasoning objects (`reasoning.text`, `reasoning.encrypted`, …)."""
    first = value[0] if isinstance(value, list) and value else None
    kind = first.get("type") if isinstance(first, dict) else None
    return isinstance(kind, str) and kind.startswith("reasoning")


def _delimiters(content: str, pairs: Iterable[Pair]) -> tuple[Pair | None, bool, bool]:
    """The pair in the text that ends first, whether its start came, and whether only white space preceded it."""
    found = [(content.find(end), (start, end)) for start, end in pairs if end in content]
    if not found:
        return None, False, False
    at, (start, end) = min(found)
    begins = content.find(start, 0, at)
    return (start, end), begins >= 0, not content[: max(begins, 0)].strip()


def _texts(surveys: Iterable[Survey]) -> list[str]:
    """Keys with enough text to be reasoning, those with most first."""
    sums: Counter[str] = Counter()
    for one in surveys:
        sums.update(one.texts)
    return [key for key, size in sums.most_common() if size >= LEAST]


def _tags(surveys: Iterable[Survey], dialect: Dialect) -> dict[str, Any]:
    """What the dialect's tags lack for the delimiters that were found."""
    found = next((one for one in surveys if one.pair is not None), None)
    if found is None or found.pair is None:
        return {}
    tags: dict[str, Any] = {}
    if found.pair not in dialect.tags.pairs:
        tags["pairs"] = [list(pair) for pair in (found.pair, *dialect.tags.pairs)]
    if not found.begun and dialect.tags.implicit_start == "never":
        tags["implicit_start"] = "when_thinking"
    if not found.leading and dialect.tags.position == "start":
        tags["position"] = "anywhere"
    return tags
