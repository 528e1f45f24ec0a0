"""What the line of a finished request says."""

from typing import Any

from proxy.core.errors import Outcome, ProxyError
from proxy.telemetry.exchange import Exchange, fit_model

_LEFT = Outcome.CLIENT_DISCONNECT
_OUTCOMES = {outcome: outcome.value for outcome in Outcome}


def request_fields(stamp: str, exchange: Exchange) -> dict[str, Any]:
    """Its fields in their order; what does not apply is left out. `stamp`: the time now."""
    timeline, target, error, outcome = exchange.timeline, exchange.target, exchange.error, exchange.outcome
    level = "info" if error is None else error.log_level
    fields: dict[str, Any] = {"ts": stamp, "level": level, "event": "request", "request_id": exchange.request_id}
    if exchange.trace_id is not None:
        fields["trace_id"] = exchange.trace_id
    fields["route"] = target.route
    if target.provider:
        fields["provider"] = target.provider
    if target.model:
        fields["model"] = target.model
    if timeline.response_model is not None and (named := fit_model(timeline.response_model)) is not None:
        fields["response_model"] = named
    fields["stream"] = exchange.stream
    if exchange.status:
        fields["status"] = exchange.status
    fields["outcome"] = _OUTCOMES[outcome]
    if error is not None:
        fields["error_code"] = _own_code(error)
    if outcome is _LEFT:
        fields["phase"] = exchange.phase.value
    fields["attempts"] = exchange.attempts
    fields["fallback"] = exchange.targets > 1
    _add_times(fields, exchange)
    if timeline.usage:
        _add_tokens(fields, timeline.usage)
    if timeline.finish_reason is not None:
        fields["finish_reason"] = timeline.finish_reason
    fields["bytes_in"] = exchange.bytes_in
    fields["bytes_out"] = exchange.bytes_out
    if exchange.client is not None:
        fields["client"] = exchange.client
    if exchange.key_id is not None:
        fields["key_id"] = exchange.key_id
    return fields


def _add_times(fields: dict[str, Any], exchange: Exchange) -> None:
    """Milliseconds to a thousandth, rounded without `round`, which would take as long as all the rest of the line."""
    timeline, start = exchange.timeline, exchange.started
    chunk, reasoning, answer = timeline.first_chunk, timeline.first_reasoning, timeline.first_answer
    if chunk is not None:
        fields["ttf_chunk_ms"] = first = ((chunk - start) * 1e6 + 0.5) // 1.0 / 1000.0
    if reasoning is not None:
        fields["ttf_reasoning_ms"] = first if reasoning is chunk else ((reasoning - start) * 1e6 + 0.5) // 1.0 / 1000.0
    if answer is not None:
        fields["ttf_answer_ms"] = first if answer is chunk else ((answer - start) * 1e6 + 0.5) // 1.0 / 1000.0
    if reasoning is not None:
        fields["reasoning_ms"] = (timeline.reasoning_s * 1e6 + 0.5) // 1.0 / 1000.0
    if timeline.ended is not None:
        fields["duration_ms"] = ((timeline.ended - start) * 1e6 + 0.5) // 1.0 / 1000.0
    if exchange.asked is not None:
        fields["overhead_ms"] = ((exchange.asked - start) * 1e6 + 0.5) // 1.0 / 1000.0


def _add_tokens(fields: dict[str, Any], usage: dict[str, Any]) -> None:
    count, details = usage.get("prompt_tokens"), usage.get("completion_tokens_details")
    if count.__class__ is int and count > 0:
        fields["input_tokens"] = count
    count = usage.get("completion_tokens")
    if count.__class__ is int and count > 0:
        fields["output_tokens"] = count
    count = details.get("reasoning_tokens") if details.__class__ is dict else None
    if count.__class__ is int and count > 0:
        fields["reasoning_tokens"] = count


def _own_code(error: ProxyError) -> str | int | None:
    # A refused request carries the upstream's own code, which is text of theirs.
    return error.code if error.code == type(error).code else "upstream_refused"
