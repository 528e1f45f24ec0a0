"""What is known of the targets: open requests, how soon they begin to answer, and whether they may be asked."""

import random
from collections.abc import Callable

from proxy.core.errors import (
    ProxyError,
    UpstreamAuth,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from proxy.routing import Circuit, RetryBudget, Standing, TargetKey

_WEIGHT = 0.2
"""Of the newest measurement in the average: about the last ten count."""
MOST_CIRCUITS = 256
"""Of one target: a wildcard's models are named by clients. The one that comes back first is then forgotten."""


def _untold(ok: bool, model: str) -> None:
    """Nobody listens."""


class TargetHealth:
    """One configured target's. A wildcard's upstream models, which may fail one by one, have a circuit each."""

    __slots__ = ("budget", "circuits", "in_flight", "latency_s", "measured_at", "tell")

    def __init__(self) -> None:
        self.in_flight = 0
        self.latency_s: float | None = None
        self.measured_at = 0.0
        self.budget = RetryBudget()
        self.tell: Callable[[bool, str], None] = _untold
        """Called when an upstream model is left alone (False), and when it no longer is (True)."""
        self.circuits: dict[str, Circuit] = {}
        """Of the upstream models that have failed lately. While it is empty all is well, and nothing need be told."""

    def standing(self, model: str, now: float) -> Standing:
        """Whether it may be asked for this upstream model."""
        circuit = self.circuits.get(model)
        return Standing.READY if circuit is None else circuit.standing(now)

    def back_s(self, model: str, now: float) -> float:
        """Seconds until it may be asked for this model again."""
        circuit = self.circuits.get(model)
        return 0.0 if circuit is None else circuit.back_s(now)

    def enter(self, model: str, now: float) -> bool:
        """A try would begin now; False where the target may not be asked."""
        circuit = self.circuits.get(model)
        return circuit is None or circuit.enter(now)

    def answered(self, model: str, began: float, seconds: float) -> None:
        """The try that began then has got its first generated content, after this time."""
        known = self.latency_s
        self.latency_s = seconds if known is None else known + _WEIGHT * (seconds - known)
        self.measured_at = began + seconds
        if self.circuits and (circuit := self.circuits.get(model)) is not None:
            circuit.begun(began)
            self._settled(model, circuit)

    def left(self, model: str, began: float) -> None:
        """The try that began then has ended, and says nothing about the target."""
        if (circuit := self.circuits.get(model)) is not None:
            circuit.left(began)

    def succeeded(self, model: str, began: float) -> None:
        """The answer of the try that began then is complete."""
        if self.circuits and (circuit := self.circuits.get(model)) is not None:
            circuit.succeeded(began)
            self._settled(model, circuit)

    def refused(self, model: str, began: float) -> None:
        """The try that began then was refused for what it says or for whom it is: the target is there."""
        if (circuit := self.circuits.get(model)) is not None:
            circuit.begun(began)
            self._settled(model, circuit)

    def failed(self, model: str, began: float, now: float, error: ProxyError, cooldown_s: float) -> None:
        """The try that began then ended with this error."""
        if not cooldown_s:
            return
        circuit = self.circuits.get(model) or Circuit()
        draw = random.random()  # noqa: S311 - spreads load
        match error:
            case UpstreamAuth() | UpstreamRateLimited():
                circuit.rest(began, now, cooldown_s, draw, error.retry_after_s)
            case UpstreamUnavailable() | UpstreamTimeout() | UpstreamProtocol():
                circuit.failed(began, now, cooldown_s, draw, error.retry_after_s)
            case UpstreamRefused():
                circuit.begun(began)
            case _:  # an error of ours, such as the end of the process
                circuit.left(began)
        self._keep(model, circuit, now)

    def forgive(self) -> None:
        """Whatever it did, it may be asked again."""
        for model in tuple(self.circuits):
            del self.circuits[model]
            self.tell(True, model)

    def review(self, now: float) -> None:
        """Tells of targets whose rest is over. An opened circuit stays told of until a trial has succeeded."""
        for model, circuit in self.circuits.items():
            if circuit.rested(now):
                self.tell(True, model)

    def _keep(self, model: str, circuit: Circuit, now: float) -> None:
        known = model in self.circuits
        if circuit.clear:
            if known:
                self._settled(model, circuit)
            return
        if not known and len(self.circuits) >= MOST_CIRCUITS:
            self._drop(min(self.circuits, key=lambda one: self.circuits[one].back_s(now)))
        self.circuits[model] = circuit
        self.tell(circuit.standing(now) is Standing.READY, model)

    def _settled(self, model: str, circuit: Circuit) -> None:
        if circuit.clear:
            self._drop(model)
        else:
            self.tell(True, model)

    def _drop(self, model: str) -> None:
        del self.circuits[model]
        self.tell(True, model)


class Healths:
    """All targets'; loads and times outlive a reload, failures do not: whoever reloads may have mended them."""

    def __init__(self) -> None:
        self._of: dict[TargetKey, TargetHealth] = {}

    def of(self, key: TargetKey) -> TargetHealth:
        """The one of this target."""
        found = self._of.get(key)
        if found is None:
            found = self._of[key] = TargetHealth()
        return found

    def forgive(self) -> None:
        """Every target may be asked again."""
        for one in self._of.values():
            one.forgive()

    def review(self, now: float) -> None:
        """Tells of targets whose rest is over."""
        for one in self._of.values():
            one.review(now)
