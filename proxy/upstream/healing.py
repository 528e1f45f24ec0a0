"""What was learnt of each target by mending its refusals (`history.self_heal`), for as long as the process lives."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.core.dialect import Manner
from proxy.core.healing import Remedy, diagnose, heal
from proxy.telemetry.logs import Log
from proxy.telemetry.target import TargetMetrics

MOST = 4096
"""Targets remembered; the one used longest ago is forgotten first. Wildcard routes take model names from clients."""
MOST_REMEDIES = 16
"""Remedies of one target, the newest ones; a client's own keys may be among the fields that a host refuses."""


@dataclass(slots=True)
class _Learnt:
    remedies: tuple[Remedy, ...]
    base: Manner | None = None
    """What `healed` was made of: a reload or another route may bring another manner."""
    healed: Manner | None = None


class Healings:
    """(provider, model as the provider calls it) → the remedies that made its refused requests acceptable."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._learnt: OrderedDict[tuple[str, str], _Learnt] = OrderedDict()

    def remedies(self, provider: str, model: str) -> tuple[Remedy, ...]:
        """What was learnt of this target, oldest first."""
        learnt = self._learnt.get((provider, model))
        return () if learnt is None else learnt.remedies

    def manner(self, provider: str, model: str, manner: Manner) -> Manner:
        """The configured manner of a target with what was learnt of it."""
        learnt = self._learnt.get((provider, model))
        if learnt is None:
            return manner
        self._learnt.move_to_end((provider, model))
        if learnt.healed is None or learnt.base is not manner:
            learnt.base, learnt.healed = manner, _healed(manner, learnt.remedies)
        return learnt.healed

    def learn(self, provider: str, model: str, remedies: Sequence[Remedy], metrics: TargetMetrics) -> None:
        """These made a refused request acceptable. A new one replaces an older one of the same field.

        Each is counted and logged when it is new, under the configured names of `metrics`.
        """
        known = self.remedies(provider, model)
        fresh = [remedy for remedy in remedies if remedy not in known]
        if not fresh:
            return
        fields = {(remedy.place, remedy.field) for remedy in fresh}
        kept = [remedy for remedy in known if (remedy.place, remedy.field) not in fields]
        self._learnt[provider, model] = _Learnt(tuple([*kept, *fresh][-MOST_REMEDIES:]))
        self._learnt.move_to_end((provider, model))
        if len(self._learnt) > MOST:
            self._learnt.popitem(last=False)
        for remedy in fresh:
            metrics.healed(remedy.action, remedy.label)
            self._log.event(
                "warning",
                "self_healed",
                provider=metrics.provider,
                model=metrics.model,
                action=remedy.action,
                field=remedy.label,
                place=remedy.place,
            )


class Mending:
    """One request to one target that may be mended: how the target is asked now, and what was sent to it last."""

    def __init__(self, healings: Healings, provider: str, model: str, manner: Manner, metrics: TargetMetrics) -> None:
        self._healings = healings
        self._target = (provider, model)
        self._metrics = metrics
        self._tried: tuple[Remedy, ...] = ()
        self.manner = healings.manner(provider, model, manner)
        self.sent: Mapping[str, Any] = {}

    def mend(self, status: int, said: object) -> bool:
        """Changes `manner` by what a refusal says (its JSON or text); False where that is nothing new."""
        remedies = diagnose(status, said, self.sent)
        healed = _healed(self.manner, remedies)
        if healed == self.manner:
            return False
        self.manner, self._tried = healed, remedies
        return True

    def taken(self) -> None:
        """The target answers what was sent: a remedy that was tried has worked."""
        if self._tried:
            self._healings.learn(*self._target, self._tried, self._metrics)
            self._tried = ()


def _healed(manner: Manner, remedies: Sequence[Remedy]) -> Manner:
    for remedy in remedies:
        manner = heal(manner, remedy)
    return manner
