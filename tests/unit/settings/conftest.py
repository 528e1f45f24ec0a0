import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proxy.settings import Settings, SettingsError, loads

Reading = Callable[..., Settings]

BUILT_INS = {
    "alpha": """\
title: Alpha
base_url: https://api.alpha.example/v1
api_key: {env: ALPHA_KEY}
headers: {x-from: alpha}
timeouts: {idle: 60s}
response:
  fields: [alpha_text]
  tags: {trim: none, blocks: all}
  finish_reason: {map: {done: stop, cut: length}}
request:
  on: {thinking: {type: enabled}}
  default_effort: low
models:
  "big*":
    request: {default_effort: high}
    history: {replay: drop}
sources: [written for these tests]
checked: 2026-11-22
sure: A
""",
    "local": """\
title: Local server
base_url: http://127.0.0.1:9000/v1
sources: [written for these tests]
checked: 2026-11-22
sure: C
notes: ["unsure: all of it"]
""",
    "hosted": """\
title: Hosted for an account
base_url: https://ACCOUNT.hosted.example/v1
like: local
sources: [written for these tests]
checked: 2026-11-22
sure: B
""",
}


@pytest.fixture
def builtin_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "providers"
    folder.mkdir()
    for name, text in BUILT_INS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def read(builtin_dir: Path, tmp_path: Path) -> Reading:
    """Reads a table with the three built-ins above; `version` and a route are added where the text has none."""

    def reading(text: str, env: Mapping[str, str] | None = None) -> Settings:
        if "version:" not in text:
            text += "\nversion: 1\n"
        if not re.search("^routes:", text, re.MULTILINE):
            text += "\nroutes: [{model: any, targets: [local/any]}]\n"
            if "providers:" not in text:
                text += "providers: {local: {}}\n"
        return loads(text, str(tmp_path / "t.yaml"), env or {}, builtin_dir)

    return reading


@pytest.fixture
def mistakes(read: Reading, tmp_path: Path) -> Callable[..., list[str]]:
    """The mistakes of a table as text, with the folder left out."""

    def found(text: str, env: Mapping[str, str] | None = None) -> list[str]:
        try:
            read(text, env)
        except SettingsError as error:
            return [str(m).replace(f"{tmp_path}/", "") for m in error.mistakes]
        return []

    return found
