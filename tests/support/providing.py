"""An upstream whose models behave as providers do: they reason, call tools, fail, throttle, stall and change their dialect."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.scripted import Asked, Wire, answer, delta

PROMPT_TOKENS, CACHED_TOKENS = 900, 600


@dataclass
class Providing:
    """The script of a `scripted` upstream. `pace_s`: between two events, give or take; `length`: events of an answer."""

    pace_s: float = 0.004
    length: int = 12
    chance: random.Random = field(default_factory=lambda: random.Random(11))

    async def __call__(self, asked: Asked, wire: Wire) -> None:
        """Answers as the model that was asked for does."""
        if asked.method == "GET":
            await wire.whole({"object": "list", "data": [{"id": "open-small"}]})
            return
        if not asked.json.get("stream"):
            await wire.whole({**answer(), "usage": self._usage(40, 25)})
            return
        await BEHAVIOURS.get(asked.json["model"], Providing.reasoner)(self, wire)

    async def reasoner(self, wire: Wire) -> None:
        """Reasons, then answers."""
        await self._begin(wire)
        thoughts = self._many()
        await self._say(wire, "reasoning", thoughts)
        await self._say(wire, "content", self.length)
        await self._finish(wire, "stop", 4 * (thoughts + self.length), 4 * thoughts)

    async def tools(self, wire: Wire) -> None:
        """Reasons, then calls a tool."""
        await self._begin(wire)
        await self._say(wire, "reasoning_content", self._many())
        call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
        await wire.event(delta({"tool_calls": [call]}))
        for part in ('{"city":', '"Oslo"}'):
            await wire.event(delta({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}))
            await asyncio.sleep(self.pace_s)
        await self._finish(wire, "tool_calls", 60, 40)

    async def tags(self, wire: Wire) -> None:
        """Writes think tags, cut in two, and a line that is no JSON."""
        await self._begin(wire)
        for part in ("<thi", "nk>", *(["So. "] * self._many()), "</thi", "nk>", *(["Yes. "] * self.length)):
            await wire.event(delta({"content": part}))
            await asyncio.sleep(self.pace_s)
        await wire.event(b'{"id": "up-1", "choices"')
        await self._finish(wire, "stop", 80, 40)

    async def cut(self, wire: Wire) -> None:
        """Reasons until its length limit."""
        await self._begin(wire)
        await self._say(wire, "reasoning", self.length)
        await self._finish(wire, "length", 50, 50)

    async def shaky(self, wire: Wire) -> None:
        """Fails two times in three, at once or in the middle."""
        way = self.chance.randrange(3)
        if way == 0:
            await wire.whole({"error": {"message": "overloaded"}}, 503)
        elif way == 1:
            await self._begin(wire)
            await self._say(wire, "reasoning", 3)
            await wire.event({"error": {"message": "the worker died", "code": 500}})
            await wire.end()
        else:
            await self.reasoner(wire)

    async def busy(self, wire: Wire) -> None:
        """Throttles every second request."""
        if self.chance.random() < 0.5:
            await wire.whole({"error": {"message": "slow down"}}, 429)
        else:
            await self.reasoner(wire)

    async def endless(self, wire: Wire) -> None:
        """Reasons until the client leaves."""
        await self._begin(wire)
        for _ in range(2000):
            await wire.event(delta({"reasoning": "Hm. "}))
            if await wire.gone(max(self.pace_s, 0.01)):
                return

    def _many(self) -> int:
        return self.chance.randint(self.length // 2, 3 * self.length)

    async def _begin(self, wire: Wire) -> None:
        await asyncio.sleep(self.pace_s * self.chance.uniform(1, 12))
        await wire.head()
        await wire.event(delta({"role": "assistant", "content": ""}))

    async def _say(self, wire: Wire, key: str, count: int) -> None:
        for _ in range(count):
            await wire.event(delta({key: "word "}))
            await asyncio.sleep(self.pace_s * self.chance.uniform(0.3, 1.7))

    async def _finish(self, wire: Wire, reason: str, tokens: int, of_reasoning: int) -> None:
        await wire.event(delta({}, reason))
        await wire.event({**delta(), "choices": [], "usage": self._usage(tokens, of_reasoning)})
        await wire.event(b"[DONE]")
        await wire.end()

    def _usage(self, tokens: int, of_reasoning: int) -> dict[str, Any]:
        return {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": tokens,
            "total_tokens": PROMPT_TOKENS + tokens,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "completion_tokens_details": {"reasoning_tokens": of_reasoning},
        }


BEHAVIOURS: dict[str, Callable[[Providing, Wire], Awaitable[None]]] = {
    name: getattr(Providing, name) for name in ("reasoner", "tools", "tags", "cut", "shaky", "busy", "endless")
}
