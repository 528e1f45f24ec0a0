"""What `doctor` finds out about one model of an upstream, probe by probe, and the YAML that follows from it."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.cli import probes
from proxy.cli.probes import Heard, Prober
from proxy.core.dialect import History, Manner, Request, UsageRules
from proxy.core.healing import diagnose, heal
from proxy.core.request import prepare
from proxy.core.survey import Pair, Reading, Survey, advice, advised, read, survey
from proxy.settings import BuiltIn

Block = Request | History | UsageRules

_MOST_SWITCHES = 6
"""Ways to switch reasoning off that are tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    probe: str
    ok: bool | None
    """None: nothing to judge."""
    says: str


class Examination:
    """Probes one model. `blocks` is what its `response`, `request` and `history` lack, `findings` what was seen."""

    def __init__(self, prober: Prober, manner: Manner, model: str, known: Iterable[BuiltIn]) -> None:
        self._prober = prober
        self._manner = manner
        self._model = model
        self._known = [built_in.manner_of(pattern) for built_in in known for pattern in ("", *built_in.patterns)]
        self._answers: list[Survey] = []
        self._whole: Reading | None = None
        self.findings: list[Finding] = []
        self.blocks: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """All probes, in order. Raises Failure where the upstream cannot be asked."""
        bodies = [body for stream in (True, False) if (body := await self._answer(stream=stream)) is not None]
        self._dialect(bodies)
        if not bodies:
            return
        await self._off()
        await self._effort()
        await self._turn("second turn", probes.second_turn(self._model, *self._said()))
        await self._turn("tool result", probes.tool_result(self._model))

    # --- how it answers ---

    async def _answer(self, *, stream: bool) -> bytes | None:
        name = "stream" if stream else "whole answer"
        heard = await self._asked(name, probes.question(self._model, **({"stream": True} if stream else {})))
        if heard is None:
            return None
        seen = survey(heard.body, self._pairs())
        self._answers.append(seen)
        events = f"{seen.events} events, " if seen.streamed else ""
        marks = [f"{heard.status}, {events}head after {heard.first_s:.2f} s, {heard.total_s:.2f} s in all"]
        if stream and not seen.streamed:
            marks.append("but it is one JSON body, no stream")
        elif stream and not seen.done:
            marks.append("without [DONE]")
        self._add(name, stream == seen.streamed, ", ".join(marks))
        return heard.body

    def _pairs(self) -> set[Pair]:
        """All delimiters that any built-in knows."""
        return {pair for manner in self._known for pair in manner.response.tags.pairs}

    def _dialect(self, bodies: Iterable[bytes]) -> None:
        """Whether what the configuration says reads what came, and else what would."""
        block = advice(self._answers, self._manner.response)
        better = advised(self._manner.response, block)
        for seen, body in zip(self._answers, bodies, strict=True):
            name = "reading stream" if seen.streamed else "reading whole"
            reading = read(body, better)
            if not seen.streamed or self._whole is None:
                self._whole = reading
            told = _summary(seen, reading)
            self._add(name, reading.error is None and not block, f"with the YAML below: {told}" if block else told)
        if block:
            self._lacks("response", block)
            self._manner = dataclasses.replace(self._manner, response=better)

    # --- how it is asked ---

    async def _off(self) -> None:
        """Whether reasoning can be switched off, and how."""
        if self._whole is None or not self._whole.reasoning:
            self._add("off", None, "not tried: there was no reasoning to switch off")
            return
        wish = probes.question(self._model, reasoning_effort="none")
        if _says_something(self._manner.request):
            prepared = prepare(wish, self._manner, model=self._model)
            if any(note.startswith("off") for note in prepared.notes):
                self._add("off", None, "the configuration knows no switch")
                return
            heard = await self._asked("off", wish)
            if heard is not None:
                left = len(read(heard.body, self._manner.response, reasoning=False).reasoning)
                self._add(
                    "off", not left, f"{left} characters of reasoning came all the same" if left else "no reasoning"
                )
            return
        await self._find_switch()

    async def _find_switch(self) -> None:
        """Tries the switches of the built-ins, the commonest first."""
        for on, off in self._switches():
            body = {**prepare(probes.question(self._model), self._manner, model=self._model).body, **off}
            heard = await self._prober.post(body)
            reading = read(heard.body, self._manner.response, reasoning=False)
            if heard.error is None and reading.error is None and not reading.reasoning:
                self._lacks("request", {"on": on, "off": off})
                self._add("off", True, f"{probes.brief(off)} switches it off")
                return
        self._add("off", None, "none of the known switches works")

    def _switches(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        counted: Counter[str] = Counter()
        known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for request in (manner.request for manner in self._known):
            if request.off:
                key = probes.brief(request.off)
                counted[key] += 1
                known.setdefault(key, (dict(request.on or {}), dict(request.off)))
        return [known[key] for key, _ in counted.most_common(_MOST_SWITCHES)]

    async def _effort(self) -> None:
        wish = probes.question(self._model, reasoning_effort="low")
        notes = prepare(wish, self._manner, model=self._model).notes
        if any(note.startswith("effort") and note.endswith("dropped") for note in notes):
            self._add("effort low", None, "the configuration knows no way to say it")
        elif await self._asked("effort low", wish) is not None:
            self._taken("effort low", "taken" + (f" ({', '.join(notes)})" if notes else ""))

    async def _turn(self, name: str, body: dict[str, Any]) -> None:
        if await self._asked(name, body) is not None:
            self._taken(name, "taken")

    def _said(self) -> tuple[str, str]:
        return (self._whole.answer, self._whole.reasoning) if self._whole else ("", "")

    # --- asking ---

    async def _asked(self, name: str, wish: dict[str, Any]) -> Heard | None:
        """The answer to a client's request; a known refusal is mended once. None, with a finding, where it is refused."""
        sent = prepare(wish, self._manner, model=self._model).body
        heard = await self._prober.post(sent)
        if heard.error is None:
            return heard
        before, message = self._manner, heard.error.message
        for remedy in diagnose(heard.status, heard.said, sent):
            self._manner = heal(self._manner, remedy)
        if self._manner != before:
            again = await self._prober.post(prepare(wish, self._manner, model=self._model).body)
            if again.error is None:
                self._note_changes(before)
                self._add(name, False, f"refused ({heard.status}): {message} With the YAML below it is taken.")
                return again
            self._manner = before
        self._add(name, False, f"refused ({heard.status}): {message}")
        return None

    def _note_changes(self, before: Manner) -> None:
        after = self._manner
        self._lacks("request", _changed(before.request, after.request))
        self._lacks("history", _changed(before.history, after.history))
        usage = _changed(before.response.usage, after.response.usage)
        self._lacks("response", {"usage": usage} if usage else {})

    def _lacks(self, block: str, values: Mapping[str, Any]) -> None:
        if values:
            self.blocks.setdefault(block, {}).update(values)

    def _taken(self, probe: str, says: str) -> None:
        """Unless that is already told, with what it took."""
        if self.findings[-1].probe != probe:
            self._add(probe, True, says)

    def _add(self, probe: str, ok: bool | None, says: str) -> None:
        self.findings.append(Finding(probe, ok, says))


def _says_something(request: Request) -> bool:
    return any(x is not None for x in (request.on, request.off, request.effort, request.budget, request.hide))


def _changed(before: Block, after: Block) -> dict[str, Any]:
    """The fields that differ, as YAML would have them."""
    names = [field.name for field in dataclasses.fields(after)]
    values = {name: getattr(after, name) for name in names if getattr(before, name) != getattr(after, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _summary(seen: Survey, reading: Reading) -> str:
    if reading.error is not None:
        return reading.error.message
    where = f" from {reading.source}" if reading.source else ""
    told = [f"{len(reading.reasoning)} characters of reasoning{where}", f"{len(reading.answer)} of answer"]
    told += [f"{reading.calls} tool calls"] if reading.calls else []
    word = seen.words[-1] if seen.words else None
    told.append(f"finish {word} -> {reading.finish_reason}" if word != reading.finish_reason else f"finish {word}")
    usage = reading.usage or {}
    details = usage.get("completion_tokens_details")
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else None
    told.append(f"usage {usage.get('completion_tokens')} out, {tokens or 'no'} reasoning" if usage else "no usage")
    told += [f"{kind} x{count}" for kind, count in reading.odd.items()]
    return ", ".join(told)
