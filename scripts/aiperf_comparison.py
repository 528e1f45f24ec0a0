"""What `scripts/aiperf` runs: one paced upstream, the proxy, aiperf in front of it, and the comparison of both measures.

Nothing leaves this machine: the upstream is this process, and aiperf's tokenizer is made here.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from bisect import bisect_left
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from proxy.telemetry.families import LONG, PREFIX

FIRST_S, STEP_S, CHUNKS = 0.15, 0.02, 20
"""The upstream's pace: the wait for its first event, then that between two; and the events of each phase."""
MEASURES = {
    "time_to_first_token": "time_to_first_chunk_seconds",
    "time_to_first_output_token": "time_to_first_answer_seconds",
}
"""aiperf's → ours."""
TOKENIZER = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
one = Tokenizer(models.BPE())
one.pre_tokenizer, one.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
one.train_from_iterator(["a few words about nothing at all " * 50], trainer)
PreTrainedTokenizerFast(tokenizer_object=one).save_pretrained(sys.argv[1])
"""


class Paced(BaseHTTPRequestHandler):
    """Reasoning, then an answer, one event at a time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answers one request."""
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(FIRST_S)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for key in ("reasoning", "content"):
            for number in range(CHUNKS):
                self._event({"choices": [{"index": 0, "delta": {key: f" word{number}"}, "finish_reason": None}]})
                time.sleep(STEP_S)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        counts = {"prompt_tokens": 50, "completion_tokens": 2 * CHUNKS, "total_tokens": 50 + 2 * CHUNKS}
        self._event({"choices": [], "usage": {**counts, "completion_tokens_details": {"reasoning_tokens": CHUNKS}}})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _event(self, more: dict[str, object]) -> None:
        frame = {"id": "c-1", "object": "chat.completion.chunk", "created": 1764000000, "model": "m"}
        self._write(b"data: " + json.dumps({**frame, **more}).encode() + b"\n\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def metrics_of(url: str) -> str:
    """The proxy's own figures; waits until it is there."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def run(tools: Path, folder: Path, url: str, requests: int) -> dict[str, dict[str, float]]:
    """What aiperf measures, in milliseconds."""
    tokenizer = folder / "tokenizer"
    subprocess.run([tools / "python", "-c", TOKENIZER, tokenizer], check=True, stderr=subprocess.DEVNULL)
    command: list[str | Path] = [
        tools / "aiperf", "profile", "-m", "m", "--url", url, "--endpoint-type", "chat", "--streaming", "--ui-type", "none",
        "--tokenizer", tokenizer, "--concurrency", "4", "--request-count", str(requests), "--isl", "50",
        "--artifact-dir", folder / "artifacts",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if told.returncode:
        sys.exit(told.stdout[-3000:] + told.stderr[-3000:])
    found: dict[str, dict[str, float]] = json.loads((folder / "artifacts" / "profile_export_aiperf.json").read_text())
    return found


def compared(theirs: dict[str, dict[str, float]], text: str, requests: int) -> bool:
    """Prints both measures; whether their means lie in the same bucket, or less than one bucket's width apart."""
    close = True
    print(f"{'':28} aiperf mean  proxy mean  apart  bucket's width (ms; {requests} streams)")
    for name, ours in MEASURES.items():
        total, count = (
            float(re.findall(rf'^{PREFIX}{ours}_{part}{{[^}}]*route="m"}} (\S+)$', text, re.MULTILINE)[0])
            for part in ("sum", "count")
        )
        mean, their_mean = total / count * 1000, theirs[name]["avg"]
        place = bisect_left(LONG, mean / 1000)
        width = (LONG[place] - (LONG[place - 1] if place else 0.0)) * 1000
        close = close and count == requests and abs(mean - their_mean) < width
        print(f"{name:28} {their_mean:11.1f} {mean:11.1f} {abs(mean - their_mean):6.1f} {width:8.0f}")
    return close


def main() -> None:
    """Exits with 1 where the two disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tools", type=Path, help="folder of aiperf and of its python")
    parser.add_argument("--requests", type=int, default=60)
    args = parser.parse_args()
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Paced)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "proxy.yaml"
        table.write_text(
            f"version: 1\nserver: {{listen: '{url.removeprefix('http://')}'}}\n"
            f"providers: {{paced: {{base_url: 'http://127.0.0.1:{upstream.server_port}/v1'}}}}\n"
            "routes: [{model: m, targets: [paced/m]}]\n"
        )
        command = [sys.executable, "-m", "proxy.cli", "serve", "-c", str(table)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
            try:
                metrics_of(url)
                theirs = run(args.tools.absolute(), folder, url, args.requests)
                close = compared(theirs, metrics_of(url), args.requests)
            finally:
                process.terminate()
    sys.exit(not close)


if __name__ == "__main__":
    main()
