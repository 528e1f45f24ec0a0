"""The line of times and tokens below an answer."""

from proxy.core.timeline import Timeline


def line(timeline: Timeline) -> str:
    """Times in seconds since the request left, then tokens as the upstream reported them; `-` where nothing was."""
    times = (
        ("first chunk", timeline.first_chunk),
        ("first reasoning", timeline.first_reasoning),
        ("first answer", timeline.first_answer),
        ("total", timeline.ended),
    )
    told = [f"{name} {_seconds(timeline.started, mark)}" for name, mark in times]
    return " | ".join([*told, _tokens(timeline.usage)])


def _seconds(started: float, mark: float | None) -> str:
    return "-" if mark is None else f"{mark - started:.2f} s"


def _tokens(usage: dict[str, object] | None) -> str:
    if not usage:
        return "tokens -"
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    told = f"tokens {_count(prompt)} in, {_count(completion)} out"
    if isinstance(reasoning, int) and isinstance(completion, int):
        return f"{told} ({reasoning} reasoning, {completion - reasoning} answer)"
    return told


def _count(value: object) -> str:
    return str(value) if isinstance(value, int) else "-"
