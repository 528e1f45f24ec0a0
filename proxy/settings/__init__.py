"""The routing table: one YAML file → frozen settings. `proxy.settings.explain` says where each value came from."""

from proxy.settings.builtins import BuiltIn, builtins
from proxy.settings.loader import find_config, load, loads, with_admin, with_listen
from proxy.settings.mistakes import Mistake, SettingsError
from proxy.settings.model import Client, Limits, Provider, Retry, Route, Secret, Server, Settings, Target, Timeouts

__all__ = [
    "BuiltIn",
    "Client",
    "Limits",
    "Mistake",
    "Provider",
    "Retry",
    "Route",
    "Secret",
    "Server",
    "Settings",
    "SettingsError",
    "Target",
    "Timeouts",
    "builtins",
    "find_config",
    "load",
    "loads",
    "with_admin",
    "with_listen",
]
