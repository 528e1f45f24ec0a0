"""How a provider speaks: frozen data, no behaviour. The YAML of `docs/configuration.md` is read into these.

Three blocks, as in a provider's YAML: `Dialect` (`response:`), `Request` (`request:`) and `History` (`history:`).
A field's default is what holds when no YAML says anything, that is detection: field aliases, details, content
parts, flag and a leading `<think>` block are all recognised. Sources: the sections of `docs/dialects.md`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Scalar = str | int | float | bool | None

ImplicitStart = Literal["never", "always", "when_thinking"]
Position = Literal["start", "anywhere"]
Blocks = Literal["first", "all"]
Unclosed = Literal["reasoning", "content_if_stop"]
StrayEnd = Literal["strip", "keep"]
Trim = Literal["none", "inner", "both"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
OnUnsupported = Literal["clamp", "drop", "reject"]
Replay = Literal["auto", "drop", "passthrough", "field", "details", "tags", "content_parts"]
Scope = Literal["all", "current_turn", "tool_calls_only"]
Backfill = Literal["none", "empty_string", "space"]


@dataclass(frozen=True, slots=True)
class Tags:
    """Reasoning between delimiters inside `content` (`response.tags`)."""

    pairs: tuple[tuple[str, str], ...] = (("<think>", "</think>"),)
    """(start, end) delimiters. A start may occur in several pairs: any of its ends closes the block. Empty: tags off."""
    labels: tuple[str, ...] = ()
    """Literal texts removed directly after a start delimiter (Gemma 4 writes `thought` and a newline there)."""
    answer_wrapper: tuple[tuple[str, str], ...] = (("<answer>", "</answer>"),)
    """(start, end) delimiters around the answer, removed where the start directly follows a reasoning block."""
    implicit_start: ImplicitStart = "never"
    """Whether the text begins inside a block because the chat template already wrote the start delimiter."""
    implicit_end: tuple[str, ...] = ()
    """Markers that end an open block and stay in `content`, such as `<tool_call>`."""
    position: Position = "start"
    """`start`: only white space may precede a block, all later text is literal. `anywhere`: recognised in mid-text too."""
    blocks: Blocks = "first"
    """`first`: text after the first block is literal. `all`: later blocks are recognised as `position` allows."""
    unclosed: Unclosed = "reasoning"
    """A block still open at the end. `content_if_stop`: repeated as `content` when the model stopped by itself."""
    stray_end: StrayEnd = "strip"
    """A single end delimiter before any answer text, with no block open: removed, or kept as text."""
    trim: Trim = "both"
    """`none`: byte-true. `inner`: white space just inside the delimiters goes. `both`: and that around the block."""
    case_sensitive: bool = True
    """False: ASCII letters of delimiters match in either case."""


@dataclass(frozen=True, slots=True)
class ContentPart:
    """One kind of item of a list-typed `content` that carries reasoning (`response.content_parts`)."""

    type: str
    """The item's `type`."""
    text: str
    """Path of its text from the item: keys joined by dots, `[]` after a key for each item of a list."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A value beside `content` that says the content is reasoning (`response.flag`)."""

    path: str = "extra_content.google.thought"
    """Dotted path from the delta or message."""
    equals: Scalar = True
    """The value that marks reasoning."""
    unless: str | None = "extra_content.google.thought_signature"
    """Dotted path whose presence says that the text may be the answer all the same: then only delimiters tell. The same
    holds for a whole message, where one flag covers reasoning and answer."""
    pairs: tuple[tuple[str, str], ...] = (("<thought>", "</thought>"),)
    """Delimiters that a flagged text may additionally carry; the end one may open the first text without the flag."""


@dataclass(frozen=True, slots=True)
class Details:
    """A typed list beside `content` (`response.details`)."""

    field: str = "reasoning_details"
    """Key of the list in the delta or message."""
    snapshots: bool = False
    """True: each event repeats the whole text so far instead of adding to it."""


@dataclass(frozen=True, slots=True)
class FinishReasons:
    """How the end of an answer is told (`response.finish_reason`)."""

    map: Mapping[str, FinishReason] = dataclasses.field(default_factory=dict)
    """Provider's word → OpenAI's word, looked up before the built-in table."""
    missing: Literal["error", "infer"] = "error"
    """A stream that ends with neither a reason nor `[DONE]`: an error, or a reason inferred from what was sent."""


@dataclass(frozen=True, slots=True)
class ToolCallRules:
    """Repairs of streamed tool calls (`response.tool_calls`)."""

    index: Literal["repair", "trust"] = "repair"
    """`repair`: calls are told apart by id and name where `index` is missing or repeated. `trust`: by `index` alone."""
    drop_dummy_args: bool = False
    """True: a first `{}` is dropped when real arguments follow it (Databricks)."""


@dataclass(frozen=True, slots=True)
class UsageRules:
    """Token counts (`response.usage`)."""

    request: Literal["auto", "always", "never"] = "auto"
    """Whether streams ask for `stream_options.include_usage`. `auto`: always, but for the rendering `passthrough` only
    where the client does; `never`: `stream_options` is not sent."""
    completion_excludes_reasoning: Literal["auto", "yes", "no"] = "auto"
    """Whether `completion_tokens` leaves the reasoning out. `auto`: decided by the sum with `total_tokens`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider answers (`response:`)."""

    fields: tuple[str, ...] = (
        "reasoning_content",
        "reasoning",
        "reasoning_text",
        "thinking",
        "thinking_content",
        "thought",
        "think",
    )
    """Keys of a flat reasoning text, in order; the first non-empty string (or object with a `text`) of a delta wins."""
    details: Details | None = Details()
    content_parts: tuple[ContentPart, ...] = (
        ContentPart("thinking", "thinking[].text"),
        ContentPart("reasoning", "summary[].text"),
    )
    flag: Flag | None = Flag()
    tags: Tags = Tags()
    finish_reason: FinishReasons = FinishReasons()
    tool_calls: ToolCallRules = ToolCallRules()
    usage: UsageRules = UsageRules()
    dedupe_repeated_reasoning: bool = False
    """True: a reasoning delta equal to the one before it is dropped (early xAI streams repeated some)."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How an effort level is sent (`request.effort`)."""

    field: str = "reasoning_effort"
    """Dotted path in the request body."""
    levels: tuple[str, ...] = ()
    """Levels this target takes, lowest first. Empty: any."""
    map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Level asked for → value to send, looked up before `levels`."""
    own_words: tuple[str, ...] = ()
    """Words of this host that may stand in `levels`, `map` and `default_effort` besides the known ones."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How a thinking budget is sent (`request.budget`)."""

    field: str = "thinking.budget_tokens"
    """Dotted path in the request body; the value is a number of tokens."""
    min: int | None = None
    max: int | None = None
    below_max_tokens: bool = False
    """True: the budget must be smaller than `max_tokens`."""
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Merged into the body together with a budget, for hosts whose `on` has no switch for it."""


@dataclass(frozen=True, slots=True)
class Request:
    """How a provider is asked (`request:`). With none of on, off, effort, budget, hide the client's words pass as they are."""

    on: Mapping[str, Any] | None = None
    """Merged into the body where the caller wants thinking. None: there is no switch."""
    off: Mapping[str, Any] | None = None
    """Merged into the body where the caller wants none. None: it cannot be switched off."""
    effort: Effort | None = None
    budget: Budget | None = None
    hide: Mapping[str, Any] | None = None
    """Merged into the body where the caller wants thinking that is not returned."""
    default: Literal["on", "off"] = "on"
    """Whether the target thinks when the request says nothing about it."""
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Merged into every body."""
    strip: tuple[str, ...] = ()
    """Keys removed from every body, as dotted paths."""
    default_effort: str | None = None
    """Effort used where the caller named none."""
    on_unsupported: OnUnsupported = "clamp"
    """What cannot be expressed: the nearest level or bound, dropped, or refused with a 400; the first two with a note."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What stands for the signature of a tool call that has none (`history.backfill_signature`)."""

    call: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Merged into the first tool call; what the call has already stays."""
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Added to `reasoning_details` with the `id` of the first tool call, where no detail has its `type` and `format`."""


@dataclass(frozen=True, slots=True)
class CallIds:
    """Ids of tool calls that a target takes (`history.call_ids`). Others become letters and digits made of the id."""

    length: int = 64
    """The longest id, in characters."""
    exact: bool = False
    """Whether every id must have that length."""
    also: str = ""
    """Characters that an id may hold besides ASCII letters and digits."""


@dataclass(frozen=True, slots=True)
class History:
    """What goes back of earlier assistant messages (`history:`)."""

    replay: Replay = "auto"
    """Where earlier reasoning goes. `auto`: the field in which this target was seen to send reasoning, else dropped."""
    field: str = "reasoning_content"
    """The key for `replay: field`."""
    scope: Scope = "all"
    """Which messages keep it: all, those after the last user message, or those with tool calls."""
    backfill: Backfill = "none"
    """What a message with tool calls gets where its reasoning is unknown."""
    backfill_signature: Signature | None = None
    """What a message with tool calls gets where its first call is not signed. None: nothing."""
    memory: Literal["off", "tool_calls"] = "off"
    """Whether the proxy itself remembers the reasoning of messages with tool calls."""
    strip_fields: tuple[str, ...] = ()
    """Keys removed from every message."""
    call_ids: CallIds | None = None
    """Ids of tool calls that this target takes. None: any."""
    strip_tags: bool = False
    """Whether a leading think block that a client put into `content` is taken out."""
    content_as_string: bool = False
    """Whether list-typed content made of text alone is sent as one string, and the null of an answer as ""."""
    self_heal: bool = False
    """Whether a known refusal of a message field is mended and tried once more."""


@dataclass(frozen=True, slots=True)
class Manner:
    """The three blocks together: all that is known of how one target speaks."""

    response: Dialect = dataclasses.field(default_factory=Dialect)
    request: Request = dataclasses.field(default_factory=Request)
    history: History = dataclasses.field(default_factory=History)
