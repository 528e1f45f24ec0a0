"""What a request's head says."""

import random
import re

from starlette.types import Scope

from proxy.core.errors import RequestInvalid
from proxy.core.render import Rendering, parse_rendering

RENDER = "x-reasoning-render"
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def headers_of(scope: Scope) -> dict[str, str]:
    """Lower-case name → value; of a repeated header the first."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return found


def request_id_of(headers: dict[str, str]) -> str:
    """The caller's `x-request-id` if it is fit for headers and logs, else a new one."""
    if "x-request-id" in headers and _SANE_ID.fullmatch(headers["x-request-id"]):
        return headers["x-request-id"]
    return "req-" + digits()


def digits() -> str:
    """24 hexadecimal digits for a new id: unlike any other, but no secret."""
    return random.getrandbits(96).to_bytes(12, "big").hex()


def rendering_of(text: str) -> Rendering:
    """The rendering that a header `X-Reasoning-Render` asks for. Raises RequestInvalid for a wrong one."""
    try:
        return parse_rendering(text)
    except ValueError as error:
        raise RequestInvalid(f"X-Reasoning-Render: {error}", param="X-Reasoning-Render") from None
