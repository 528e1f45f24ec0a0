"""Installs the peers that the project does not need itself, each in a folder of its own. Never part of CI.

What is given is what was measured; where an index does not have it, the installer's own words say so.
"""

import json
import re
import shutil
import subprocess
import sys

from tests.bench.peers import FOLDER, nginx_program

_WHEELS = {
    "litellm": ("litellm[proxy]==1.106.2",),
    "vllm-router": ("vllm-router==0.1.17",),
    "llm-rosetta": ("llm-rosetta==0.13.0",),
    "bare-httpx": ("httpx==0.28.1", "starlette==1.10.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0"),
}
"""What a peer's environment gets; the first is the one whose version is told."""
_PACKAGES = {"portkey": "@portkey-ai/gateway@1.15.2"}
PINNED = (*_WHEELS, *_PACKAGES)


def install() -> int:
    """0, or 1 if a peer could not be installed; the others are there then all the same."""
    failed = [name for name, requirement in _WHEELS.items() if not _wheel(name, *requirement)]
    failed += [name for name, package in _PACKAGES.items() if not _package(name, package)]
    for name in failed:
        print(f"bench: {name} could not be installed", file=sys.stderr)
    if nginx_program() is None:
        print("bench: nginx is the system's: apt-get install nginx-light", file=sys.stderr)
    return 1 if failed else 0


def installed() -> dict[str, str]:
    """Name and version of each peer that is on this machine and not the project's."""
    found = {}
    for name, (first, *_) in _WHEELS.items():
        package = re.split(r"[=\[]", first)[0].replace("-", "_")
        for folder in FOLDER.glob(f"{name}/lib/python*/site-packages/{package}-*.dist-info"):
            found[name] = folder.name.removesuffix(".dist-info").rpartition("-")[2]
    for path in FOLDER.glob("portkey/node_modules/@portkey-ai/gateway/package.json"):
        found["portkey"] = json.loads(path.read_text(encoding="utf-8"))["version"]
    if nginx := nginx_program():
        said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
        found["nginx"] = said.strip().rpartition("/")[2]
    return found


def _wheel(name: str, *requirements: str) -> bool:
    folder = FOLDER / name
    print(f"bench: {', '.join(requirements)} into {folder}", flush=True)
    # Wheels only: building from source would run whatever the archive brings.
    pip = [
        folder / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        *requirements,
    ]
    return _runs([sys.executable, "-m", "venv", folder]) and _runs(pip)


def _package(name: str, package: str) -> bool:
    folder = FOLDER / name
    npm = shutil.which("npm")
    if npm is None:
        print(f"bench: {package} needs npm and Node 20", file=sys.stderr)
        return False
    print(f"bench: {package} into {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    return _runs([npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", package])


def _runs(command: list[object]) -> bool:
    return subprocess.run([str(part) for part in command], check=False).returncode == 0
