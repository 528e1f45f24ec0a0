"""The tries of one request: target after target until the first generated content, then never again."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from proxy.core.errors import NoTarget, ProxyError, UpstreamAuth, UpstreamError, UpstreamRateLimited, UpstreamRefused
from proxy.telemetry.exchange import Exchange
from proxy.upstream.attempt import Attempt, Candidate, Kind, Sink

BACKOFF_S = 0.1
"""Before the second try of a target; doubles with each further one. Half of it is random, so that clients part."""
BACKOFF_MAX_S = 2.0
"""Longest wait between two tries of a target; one that asks for more is left for the next target."""


class Plan(Protocol):
    """What is to be asked, and whom."""

    path: str
    """Below the provider's base URL, such as `/chat/completions`."""
    kind: Kind
    candidates: Sequence[Candidate]
    """Best target first."""
    tries: int
    """Tries of each target; at least 1."""
    cooldown_s: float
    """How long a target that fails is left alone; 0: it is not."""
    heartbeat_s: float
    """Seconds without a byte after which an event stream gets a comment; 0 is never."""
    client_key: str | None
    """The key that the caller presented; cut out of errors, and sent on where a provider says so."""


class Attempts:
    """Runs a plan. `interrupt` ends it early, in whatever state it is."""

    def __init__(self, plan: Plan, exchange: Exchange, sink: Sink, clock: Callable[[], float]) -> None:
        self._plan = plan
        self._exchange = exchange
        self._sink = sink
        self._clock = clock
        self._current: Attempt | None = None
        self._interruption: ProxyError | None = None
        self._began = 0.0
        self._mended: tuple[Candidate, UpstreamRefused] | None = None

    async def run(self) -> bytes:
        """The whole body where one is asked for, else b"", the answer having gone to the sink.

        Raises the error of the last try where none succeeded, and NoTarget where there was none to try.
        """
        last: ProxyError | None = None
        previous: Candidate | None = None
        for candidate in self._plan.candidates:
            for number in range(self._plan.tries):
                if last is not None and number and not await self._wait(candidate, number, last):
                    break
                self._began = self._clock()
                health = candidate.health
                if health.circuits and not health.enter(candidate.model, self._began):
                    break
                self._comes(candidate, previous)
                previous = candidate
                try:
                    return await self._try(candidate)
                except UpstreamError as error:
                    last = error.with_traceback(None)  # whose frames would hold it, and all else of this request
                    if not error.retryable or self._sink.committed or self._interruption is not None:
                        raise
                    self._sink.drop()
        raise last or self._none()

    def _comes(self, candidate: Candidate, previous: Candidate | None) -> None:
        """Counts a try: the first of a target, the first after another one's, or another one of the same."""
        if previous is candidate and self._current is not None:
            candidate.metrics.retry(self._current.outcome)
            return
        self._exchange.targets += 1
        candidate.health.budget.asked(self._began)
        if previous is not None and self._current is not None:
            previous.metrics.fallback(self._current.outcome, candidate.metrics)

    def _none(self) -> NoTarget:
        now = self._clock()
        wait = min((one.health.back_s(one.model, now) for one in self._plan.candidates), default=0.0)
        return NoTarget(
            "Every target of this model has failed and is left alone for a while. Send the request again later.",
            retry_after_s=wait,
        )

    async def _try(self, candidate: Candidate) -> bytes:
        """One try, and a second one of what a known refusal mends, once in a request."""
        plan, exchange, health = self._plan, self._exchange, candidate.health
        while True:
            if self._interruption is not None:
                raise self._interruption
            self._current = attempt = Attempt(
                candidate, plan.path, plan.kind, plan.client_key, exchange, self._sink, self._clock, self._began
            )
            health.in_flight += 1
            try:
                body = await attempt.run()
            except ProxyError as error:
                self._failed(candidate, error)
                if not isinstance(error, UpstreamRefused) or not self._mend(candidate, error):
                    raise
            except BaseException:
                health.left(candidate.model, self._began)
                raise
            else:
                if exchange.error is not None:
                    self._failed(candidate, exchange.error)
                elif health.circuits:
                    health.succeeded(candidate.model, self._began)
                return body
            finally:
                health.in_flight -= 1

    def _mend(self, candidate: Candidate, error: UpstreamRefused) -> bool:
        """Whether to try again. Where what was mended is refused as well, raises the first refusal, which stands."""
        if self._mended is not None:
            mended, first = self._mended
            if mended is candidate:
                raise first from None
            return False
        attempt = self._current
        if candidate.mending is None or attempt is None or self._sink.committed:
            return False
        if not candidate.mending.mend(error.status, error.message if attempt.said is None else attempt.said):
            return False
        self._mended = candidate, error
        self._sink.drop()
        return True

    def _failed(self, candidate: Candidate, error: ProxyError) -> None:
        health = candidate.health
        if candidate.provider.pass_client_key and isinstance(error, UpstreamAuth | UpstreamRateLimited):
            # It was the caller's own key that was turned away, which says nothing to others.
            health.refused(candidate.model, self._began)
        else:
            health.failed(candidate.model, self._began, self._clock(), error, self._plan.cooldown_s)

    async def _wait(self, candidate: Candidate, number: int, last: ProxyError) -> bool:
        """Waits before another try of the same target; False where that would not help, or has been done too often."""
        pause = min(BACKOFF_S * 2 ** (number - 1), BACKOFF_MAX_S) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        if isinstance(last, UpstreamAuth):
            return False
        if isinstance(last, UpstreamRateLimited) and last.retry_after_s is not None:
            if last.retry_after_s > BACKOFF_MAX_S:
                return False
            pause = max(pause, last.retry_after_s)
        if not candidate.health.budget.take(self._clock()):
            return False
        await asyncio.sleep(pause)
        return True

    def interrupt(self, error: ProxyError) -> None:
        """Ends the request with this error: as an event where the answer has begun, else by raising it."""
        self._interruption = error
        if self._current is not None:
            self._current.deadline.interrupt(error)
