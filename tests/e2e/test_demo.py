"""`reasoning-proxy demo`, as a newcomer calls it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

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


def test_the_demo_shows_three_dialects_and_one_way_to_read_them_at_the_pace_of_a_model(tmp_path: Path) -> None:
    started = time.monotonic()
    told = _demo(tmp_path)
    took_s = time.monotonic() - started
    assert (told.returncode, told.stderr) == (0, "")
    assert 10 < took_s < 15 + 5  # five for a busy machine
    wire, _, read = told.stdout.partition("through the proxy")
    assert wire.count("data: {") == 6
    assert '"reasoning_content":"Look"' in wire and '"reasoning_details":[{' in wire and '"content":"<th"' in wire
    answers = re.split(r"^(demo-[a-z-]+)\n", read, flags=re.MULTILINE)
    assert answers[1::2] == MODELS
    for answer in answers[2::2]:
        shown = re.fullmatch(r"\[reasoning\]\n(.+)\n\[answer\]\n(.+)\n(first chunk .+)\n\n", answer)
        assert shown is not None
        assert "59 × 61" in shown[2] and "<" not in shown[1] + shown[2]
        figures = re.search(r"first answer (\d+\.\d+) s \| total (\d+\.\d+) s \| tokens \d+ in, \d+ out", shown[3])
        assert figures is not None
        assert float(figures[1]) > 1.5 and float(figures[2]) > float(figures[1]) + 0.5
    assert "(106 reasoning, 50 answer)" in read
    assert "\x1b" not in told.stdout


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
