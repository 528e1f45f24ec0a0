"""Hosts that refuse as the real ones do, and otherwise call a tool for every question and answer with its result.

Each is written from `docs/requests.md` ("Refusals") and `docs/dialects.md`; what they say is in `refusals.py`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.refusals import UNMENDED, refusal
from tests.support.scripted import Asked, Script, Wire, delta

Body = dict[str, Any]
Judge = Callable[[Body], tuple[int, str] | None]
"""Index of the message that is refused (-1: the body itself), and the field named; None: taken."""

Form = str
"""How a host writes its reasoning: a key, or `details`, `parts` (Mistral), `summary` (Databricks), `flag` (Gemini)."""

_PLACE = re.compile(r"(messages\W{1,4}|at index |position )\d+")
_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
PLACEHOLDERS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What Google takes for a signature of its own (ai.google.dev/gemini-api/docs/thought-signatures#faqs)."""
MADE_BY_GOOGLE = range(40)
_ID_OF_NINE = re.compile(r"[a-zA-Z0-9]{9}")


def thought(number: int) -> str:
    return f"Thought {number}: I need the weather."


def signature(number: int) -> str:
    return f"signed-{number}"


def details_of(number: int) -> list[Body]:
    """What OpenRouter sends for a Gemini model: a text, and opaque state."""
    text = {"type": "reasoning.text", "text": thought(number), "format": "google-gemini-v1", "index": 0}
    return [text, {"type": "reasoning.encrypted", "data": signature(number), "format": "google-gemini-v1", "index": 1}]


def calling(body: Body) -> Iterator[tuple[int, Body]]:
    """Index and message of each assistant message with tool calls."""
    return ((i, message) for i, message in enumerate(body["messages"]) if message.get("tool_calls"))


def current(body: Body) -> int:
    """Index of the last message of the user, where the current turn begins."""
    return max(i for i, message in enumerate(body["messages"]) if message["role"] == "user")


# --- what hosts refuse ---


def must_not_carry(*fields: str) -> Judge:
    """Messages with one of these keys; `tool_calls[].KEY` is a key of a tool call."""

    def judge(body: Body) -> tuple[int, str] | None:
        for index, message in enumerate(body["messages"]):
            for field in fields:
                _, of_call, key = field.rpartition("tool_calls[].")
                held = message.get("tool_calls", []) if of_call else [message]
                if any(key in each for each in held):
                    return index, key
        return None

    return judge


def only_known_keys(*more: str) -> Judge:
    """Messages with any key that is neither OpenAI's nor one of `more`: schemas that allow nothing else."""
    known = {"role", "content", "name", "tool_calls", "tool_call_id", *more}

    def judge(body: Body) -> tuple[int, str] | None:
        for index, message in enumerate(body["messages"]):
            inside = [key for call in message.get("tool_calls", []) for key in set(call) - {"id", "type", "function"}]
            if found := [*sorted(set(message) - known), *inside]:
                return index, found[0]
        return None

    return judge


def must_carry(field: str) -> Judge:
    """Messages with tool calls without this key, unless the request switches thinking off; an empty value will do."""

    def judge(body: Body) -> tuple[int, str] | None:
        if body.get("thinking") == {"type": "disabled"}:
            return None
        return next(((i, field) for i, message in calling(body) if not isinstance(message.get(field), str)), None)

    return judge


def must_carry_signatures(body: Body) -> tuple[int, str] | None:
    """Gemini 3: the first call of each message of the current turn, with a signature of its own or one of the two words."""
    taken = {*PLACEHOLDERS, *map(signature, MADE_BY_GOOGLE)}
    for index, message in calling(body):
        state = message["tool_calls"][0].get("extra_content")
        if state is None and index < current(body):
            continue
        if (state or {}).get("google", {}).get("thought_signature") not in taken:
            return index, "extra_content"
    return None


def must_carry_details(body: Body) -> tuple[int, str] | None:
    """Gemini 3 at OpenRouter: its details in the current turn, complete and in order wherever they stand.

    For calls of other models, a word in place of the signature, with the call's id.
    """
    for index, message in calling(body):
        details = message.get("reasoning_details") or []
        signs = [each for each in details if each["type"] == "reasoning.encrypted"]
        if not signs and index < current(body):
            continue
        word = {"type": "reasoning.encrypted", "data": PLACEHOLDERS[0], "format": "google-gemini-v1"}
        stands_in = [{**word, "id": message["tool_calls"][0]["id"], "index": len(details) - 1}]
        if signs != stands_in and details not in map(details_of, MADE_BY_GOOGLE):
            return index, "reasoning_details"
    return None


def ids(body: Body) -> Iterator[tuple[int, str]]:
    """Index of a message, and each id of a call in it."""
    for index, message in enumerate(body["messages"]):
        yield from ((index, call["id"]) for call in message.get("tool_calls", ()))
        if "tool_call_id" in message:
            yield index, message["tool_call_id"]


def must_have_ids_of_nine(body: Body) -> tuple[int, str] | None:
    """Mistral."""
    return next(((index, "id") for index, id_ in ids(body) if not _ID_OF_NINE.fullmatch(id_)), None)


def must_have_short_ids(body: Body) -> tuple[int, str] | None:
    """OpenAI."""
    return next(((index, "id") for index, id_ in ids(body) if len(id_) > 40), None)


def must_say_something(body: Body) -> tuple[int, str] | None:
    """Ollama: null as content, where no tool is called."""
    messages = enumerate(body["messages"])
    return next(((i, "content") for i, m in messages if m.get("content") is None and not m.get("tool_calls")), None)


def results_must_have_calls(body: Body) -> tuple[int, str] | None:
    """Any host: a tool's result answers a call of the assistant message before it."""
    open_: set[str] = set()
    for index, message in enumerate(body["messages"]):
        if message["role"] == "tool" and message["tool_call_id"] not in open_:
            return index, "tool_call_id"
        if message["role"] == "assistant":
            open_ = {call["id"] for call in message.get("tool_calls", ())}
    return None


def must_not_be_asked(field: str) -> Judge:
    return lambda body: (-1, field) if field in body else None


# --- what they say ---


def said(name: str, index: int, field: str) -> tuple[Any, int]:
    """The body and status of a known refusal, of this message and field."""
    known = refusal(name)
    text = _PLACE.sub(rf"\g<1>{index}", json.dumps(known.said))
    named = known.remedy.field.removeprefix("tool_calls[].")
    return json.loads(text.replace(named, field) if field and named != "stream_options" else text), known.status


@dataclass(frozen=True)
class Rule:
    """One thing that a host refuses, and how."""

    refusal: str
    judge: Judge

    def answer(self, body: Body) -> tuple[Any, int] | None:
        found = self.judge(body)
        if found is None:
            return None
        return UNMENDED[self.refusal] if self.refusal in UNMENDED else said(self.refusal, *found)


@dataclass(frozen=True)
class Host:
    """A host: what it refuses, and how it writes its reasoning."""

    rules: tuple[Rule, ...]
    form: Form = "reasoning_content"
    signs: bool = False
    """Whether the first call of an answer carries a `thought_signature`."""
    ids: str = "call{:05}"
    """Ids of its calls, by their number."""


HOSTS: Mapping[str, Host] = {
    "deepseek": Host((Rule("deepseek", must_carry("reasoning_content")),), ids="call_00_{:024}"),
    "groq": Host((Rule("groq", only_known_keys("reasoning")),), "reasoning", ids="fc_{:08}-92a3"),
    "mistral": Host(
        (
            Rule("mistral-options", must_not_be_asked("stream_options")),
            Rule("mistral", only_known_keys()),
            Rule("mistral-ids", must_have_ids_of_nine),
            Rule("mistral-ids", results_must_have_calls),
        ),
        "parts",
        ids="D6sP{:05}",
    ),
    "openrouter": Host((Rule("openrouter-details", must_carry_details),), "details", ids="tool_weather_{:020}"),
    "gemini": Host((Rule("gemini", must_carry_signatures),), "flag", signs=True, ids="function-call-{:020}"),
    "moonshot": Host((Rule("moonshot", must_carry("reasoning_content")),), ids="functions.weather:{}"),
}
"""The hosts of a conversation that moves from one to the next."""


def script_of(host: Host) -> Script:
    async def script(asked: Asked, wire: Wire) -> None:
        body = asked.json
        for rule in host.rules:
            refused = rule.answer(body)
            if refused is not None:
                await wire.whole(*refused)
                return
        await _answer(wire, body, host)

    return script


# --- what they answer ---


async def _answer(wire: Wire, body: Body, host: Host) -> None:
    """A question gets a tool call for each of its places, one after the other; the last result gets an answer."""
    number = len(list(calling(body)))
    since = current(body)
    places = re.search(r"(\d+) places", str(body["messages"][since]["content"]))
    asks = len([i for i, _ in calling(body) if i > since]) < (int(places[1]) if places else 1)
    call: Body = {
        "id": host.ids.format(number),
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": f"City {number}"})},
    }
    if host.signs:
        call["extra_content"] = {"google": {"thought_signature": signature(number)}}
    text = None if asks else f"It is warm, {number}."
    reason = "tool_calls" if asks else "stop"
    if body.get("stream"):
        pieces = [delta({"role": "assistant", "content": None}), *map(delta, _pieces(host.form, number))]
        pieces += [delta({"content": text})] if text else [delta({"tool_calls": [{"index": 0, **call}]})]
        await wire.events(*pieces, delta({}, reason))
        return
    message = _message(host.form, number, text) | ({"tool_calls": [call]} if asks else {})
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    await wire.whole({"id": "up", "object": "chat.completion", "created": 7, "model": "m", "choices": choices})


def _pieces(form: Form, number: int) -> list[Body]:
    """The reasoning, as deltas."""
    text = thought(number)
    if form == "details":
        first, second = details_of(number)
        halves = [{**first, "text": text[:9]}, {**first, "text": text[9:]}]
        told: list[Body] = [{"reasoning": each["text"], "reasoning_details": [each]} for each in halves]
        return [*told, {"reasoning_details": [second]}]
    if form in ("parts", "summary"):
        return [{"content": [_part(form, half)]} for half in (text[:9], text[9:])]
    if form == "flag":
        return [
            {"content": f"<thought>{text}", "extra_content": {"google": {"thought": True}}},
            {"content": "</thought>"},
        ]
    return [{form: text[:9]}, {form: text[9:]}] if form else []


def _part(form: Form, text: str) -> Body:
    if form == "parts":
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def _message(form: Form, number: int, text: str | None) -> Body:
    message: Body = {"role": "assistant", "content": text}
    if form == "details":
        return {**message, "reasoning": thought(number), "reasoning_details": details_of(number)}
    if form in ("parts", "summary"):
        answer = [{"type": "text", "text": text}] if text else []
        return {**message, "content": [_part(form, thought(number)), *answer]}
    if form == "flag":
        head = f"<thought>{thought(number)}</thought>"
        return {**message, "content": head + (text or ""), "extra_content": {"google": {"thought": True}}}
    return {**message, form: thought(number)} if form else message
