"""`reasoning-proxy demo`, as a newcomer calls it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ["demo-reasoning-content", "demo-details", "demo-think-tags"]


def _demo(folder: Path, *args: str, python_path: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REASONING_PROXY", "COV"))}
    path = os.pathsep.join(filter(None, [python_path, str(ROOT)]))
    return subprocess.run(
        [sys.executable, "-m", "proxy.cli", "demo", *args],
        cwd=folder,
        env=kept | {"PYTHONPATH": path, **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_shows_three_dialects_and_one_way_to_read_them(tmp_path: Path) -> None:
    told = _demo(tmp_path, "--fast")
    assert (told.returncode, told.stderr) == (0, "")
    wire, _, read = told.stdout.partition("through the proxy")
    assert wire.count("data: {") == 6
    assert '"reasoning_content":"Look"' in wire and '"reasoning_details":[{' in wire and '"content":"<th"' in wire
    answers = re.split(r"^(demo-[a-z-]+)\n", read, flags=re.MULTILINE)
    assert answers[1::2] == MODELS
    for answer in answers[2::2]:
        shown = re.fullmatch(r"\[reasoning\]\n(.+)\n\[answer\]\n(.+)\nfirst chunk (.+)\n\n", answer)
        assert shown is not None
        assert "59 × 61" in shown[2] and "<" not in shown[1] + shown[2]
        assert re.search(r"first answer \d.*total \d.*tokens \d+ in, \d+ out", shown[3])
    assert "(106 reasoning, 50 answer)" in read
    assert "\x1b" not in told.stdout


@pytest.mark.slow
def test_the_demo_is_paced_like_a_model_and_ends_within_fifteen_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    told = _demo(tmp_path)
    assert told.returncode == 0
    assert 10 < time.monotonic() - started < 15 + 5  # five for a busy machine
    totals = [float(total) for total in re.findall(r"total (\d+\.\d+) s", told.stdout)]
    firsts = [float(first) for first in re.findall(r"first answer (\d+\.\d+) s", told.stdout)]
    assert len(totals) == len(firsts) == 3
    assert all(first > 1.5 and total > first + 0.5 for first, total in zip(firsts, totals, strict=True))


def test_the_demo_does_not_go_through_a_proxy_of_the_environment(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    told = _demo(tmp_path, "--fast", HTTP_PROXY=nowhere, http_proxy=nowhere, ALL_PROXY=nowhere, NO_PROXY="")
    assert told.returncode == 0


def test_a_missing_sdk_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "openai.py").write_text("raise ImportError('not here')")
    told = _demo(tmp_path, python_path=str(tmp_path))
    assert told.returncode == 1
    assert "OpenAI SDK" in told.stderr and "pip install" in told.stderr
    assert "Traceback" not in told.stderr
