"""Model name → route → ordered targets."""

from proxy.routing.circuit import Circuit, RetryBudget, Standing
from proxy.routing.strategies import Health, ordered
from proxy.routing.table import Allowed, Match, ResolvedTarget, Table, TargetKey, permits, targets

__all__ = [
    "Allowed",
    "Circuit",
    "Health",
    "Match",
    "ResolvedTarget",
    "RetryBudget",
    "Standing",
    "Table",
    "TargetKey",
    "ordered",
    "permits",
    "targets",
]
