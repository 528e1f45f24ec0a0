"""Model name → route → ordered targets."""

from proxy.routing.strategies import Health, ordered
from proxy.routing.table import Allowed, Match, ResolvedTarget, Table, TargetKey, permits, targets

__all__ = ["Allowed", "Health", "Match", "ResolvedTarget", "Table", "TargetKey", "ordered", "permits", "targets"]
