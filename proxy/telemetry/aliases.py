"""Other names for the same metrics, shown beside ours where `metrics.aliases` asks for them.

`otel_genai`: the names of OpenTelemetry's conventions for generative clients, as they will be (`docs/metrics.md` says
which state of them; the conventions are in development, so these may change with them).
"""

from collections.abc import Mapping

from proxy.telemetry.families import PREFIX
from proxy.telemetry.registry import Alias

_LABELS: Mapping[str, str] = {"provider": "gen_ai_provider_name", "model": "gen_ai_request_model"}
_CLIENT = "gen_ai_client_inference_"
_OTEL_GENAI = {
    "request_duration_seconds": "duration_seconds",
    "time_to_first_chunk_seconds": "time_to_first_chunk_seconds",
    "inter_chunk_seconds": "time_per_output_chunk_seconds",
    "input_tokens": "usage_input_tokens",
    "output_tokens": "usage_output_tokens",
    "cached_input_tokens": "usage_cache_read_input_tokens",
    "cache_write_input_tokens": "usage_cache_write_input_tokens",
    "reasoning_tokens": "usage_reasoning_output_tokens",
    "request_input_tokens": "operation_input_tokens",
    "request_output_tokens": "operation_output_tokens",
}
ALIASES: Mapping[str, Mapping[str, Alias]] = {
    "otel_genai": {PREFIX + ours: Alias(_CLIENT + theirs, _LABELS) for ours, theirs in _OTEL_GENAI.items()},
}
"""Word in `metrics.aliases` → our family's name, without a counter's `_total` → the other one."""
