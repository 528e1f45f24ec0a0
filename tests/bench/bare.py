"""The relay that one writes in an afternoon: Starlette, `aiter_lines` of httpx2 or httpx, `json`, one key renamed.

It is what the proxy is compared with. It renames `reasoning` and does nothing else: no tags, no errors, no metrics.
Run: `python -m tests.bench.bare PORT UPSTREAM_URL httpx2`, or `httpx`, whose programming interface is the same.
"""

import importlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


def rename(message: dict[str, Any]) -> None:
    if "reasoning" in message:
        message["reasoning_content"] = message.pop("reasoning")


def application(upstream: str, library: str) -> Starlette:
    http = importlib.import_module(library)
    client = http.AsyncClient(timeout=None, limits=http.Limits(max_connections=None))

    async def completions(request: Request) -> Response:
        body = await request.json()
        if body.get("stream"):
            return StreamingResponse(stream(body), media_type="text/event-stream")
        response = await client.post(f"{upstream}/chat/completions", json=body)
        answer = response.json()
        for choice in answer["choices"]:
            rename(choice["message"])
        return JSONResponse(answer, status_code=response.status_code)

    async def stream(body: dict[str, Any]) -> AsyncIterator[str]:
        async with client.stream("POST", f"{upstream}/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                data = line.removeprefix("data: ")
                if data == "[DONE]":
                    yield "data: [DONE]\n\n"
                    continue
                chunk = json.loads(data)
                for choice in chunk["choices"]:
                    rename(choice["delta"])
                yield f"data: {json.dumps(chunk)}\n\n"

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])], lifespan=lifespan)


def main() -> None:
    port, upstream, library = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    app = application(upstream, library)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
