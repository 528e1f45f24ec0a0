"""The embedded demo table and its recordings."""

from pathlib import Path

from proxy.demo.recordings import Library
from proxy.settings import Settings, loads

SOURCE = "embedded demo table"
_HERE = Path(__file__).parent


def library() -> Library:
    """The project's own three recordings."""
    return Library(_HERE / "streams")


def text(replay_address: str) -> str:
    """The table as YAML; `replay_address` is where the replay upstream listens, without a path."""
    return (_HERE / "table.yaml").read_text("utf-8").replace("REPLAY/", f"{replay_address}/")


def settings(replay_address: str) -> Settings:
    """The table as settings."""
    return loads(text(replay_address), SOURCE, {})
