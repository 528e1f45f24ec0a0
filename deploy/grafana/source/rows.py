"""The dashboard in reading order: is it healthy, is it fast, what does it cost, who is to blame, and the proxy itself."""

from deploy.grafana.source.panel import (
    CONFIGURED,
    OF_JOB,
    OF_PROVIDER,
    OF_ROUTE,
    OF_TARGET,
    Panel,
    Query,
    Row,
    quantile,
    quantiles,
    rate,
)

OBJECTIVE = 0.005
"""The share of requests that may fail: deploy/prometheus/alerts.yml."""
UNWELL = ',outcome!~"ok|cancelled"'
FAILED = ',outcome=~"upstream_error|timeout|shutdown|internal_error"'
COUNTED = ',outcome=~"ok|upstream_error|timeout|shutdown|internal_error"'
OUTCOMES = {
    "ok": "green",
    "client_error": "blue",
    "rate_limited": "yellow",
    "client_disconnect": "purple",
    "timeout": "orange",
    "upstream_error": "red",
    "internal_error": "dark-red",
    "shutdown": "text",
}
TRIES = {
    "ok": "green",
    "cancelled": "purple",
    "http_429": "yellow",
    "http_4xx": "blue",
    "http_5xx": "red",
    "connect_error": "dark-red",
    "error_in_stream": "dark-orange",
    "protocol_error": "dark-yellow",
}
PHASES = {"waiting": "orange", "reasoning": "purple", "answer": "green"}
GOOD_OR_BAD = ((OBJECTIVE, "orange"), (14.4 * OBJECTIVE, "red"))

HEALTHY = Row(
    "Is it healthy?",
    (
        Panel(
            "Requests",
            "Requests that ended, each second.",
            "reqps",
            (Query(rate("requests_total", OF_TARGET), "requests"),),
            "stat",
            6,
        ),
        Panel(
            "Failed",
            "Share of the requests that failed on this side. Requests that the client spoilt or left, and those that a limit refused, are in neither count.",
            "percentunit",
            (
                Query(
                    f"{rate('requests_total', OF_TARGET, more=FAILED)} / {rate('requests_total', OF_TARGET, more=COUNTED)}",
                    "failed",
                ),
            ),
            "stat",
            6,
            GOOD_OR_BAD,
            2,
        ),
        Panel(
            "Streams in flight",
            "Streams open now.",
            "short",
            (Query(f"sum (reasoning_proxy_streams_in_flight{{{OF_ROUTE}}})", "streams"),),
            "stat",
            6,
        ),
        Panel(
            "Burn of the error budget",
            "How many times faster than allowed requests failed in the last hour. 1 spends the budget of 30 days in 30 days; at 14.4 somebody is woken.",
            "none",
            (Query(f"max (job:reasoning_proxy_errors:ratio_rate1h{{{OF_JOB}}}) / {OBJECTIVE}", "burn"),),
            "stat",
            6,
            ((1, "orange"), (6, "red")),
            1,
        ),
        Panel(
            "Requests by outcome",
            "How requests ended.",
            "reqps",
            (Query(f"{rate('requests_total', OF_TARGET, 'outcome')} > 0", "{{outcome}}"),),
            "areas",
            colours=OUTCOMES,
        ),
        Panel(
            "Streams in flight by route",
            "Streams open now; what the autoscaler looks at.",
            "short",
            (Query(f"sum by (route) (reasoning_proxy_streams_in_flight{{{OF_ROUTE}}})", "{{route}}"),),
            "areas",
        ),
        Panel(
            "Clients that left early",
            "What they were getting when they left: nothing yet, reasoning, or the answer.",
            "reqps",
            (Query(f"{rate('client_disconnects_total', OF_ROUTE, 'phase')} > 0", "{{phase}}"),),
            "areas",
            colours=PHASES,
        ),
    ),
)

FAST = Row(
    "Is it fast?",
    (
        Panel(
            "Time to the first content",
            "Of a stream: from the request's head to the first reasoning, answer or tool call.",
            "s",
            quantiles("time_to_first_chunk_seconds"),
        ),
        Panel(
            "Time to the first reasoning",
            "Of the streams that reasoned.",
            "s",
            quantiles("time_to_first_reasoning_seconds"),
        ),
        Panel(
            "Time to the first answer",
            "To the first text or tool call: what people feel.",
            "s",
            quantiles("time_to_first_answer_seconds"),
        ),
        Panel(
            "Time spent reasoning",
            "How long streams reasoned, summed over blocks.",
            "s",
            (
                Query(
                    f"sum by (le) (increase(reasoning_proxy_reasoning_duration_seconds_bucket{{{OF_TARGET}}}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            "heatmap",
        ),
        Panel(
            "Gap between two chunks",
            "Of one phase. A high 99th percentile is a stream that stands still.",
            "s",
            (
                Query(quantile(0.5, "inter_chunk_seconds", OF_TARGET, "phase"), "p50 {{phase}}"),
                Query(quantile(0.99, "inter_chunk_seconds", OF_TARGET, "phase"), "p99 {{phase}}"),
            ),
        ),
        Panel(
            "Time per output token",
            "Of one stream, from its first content to its last, by the provider's own count.",
            "s",
            quantiles("time_per_output_token_seconds"),
        ),
        Panel(
            "Whole requests",
            "From the request's head to the last byte, streams and whole answers.",
            "s",
            quantiles("request_duration_seconds"),
            width=12,
        ),
        Panel(
            "First content by target",
            "95th percentile: which provider is the slow one.",
            "s",
            (
                Query(
                    quantile(0.95, "time_to_first_chunk_seconds", OF_TARGET, "provider", "model", more=CONFIGURED),
                    "{{provider}}/{{model}}",
                ),
            ),
            width=12,
        ),
    ),
)

TOKENS = Row(
    "What does it cost?",
    (
        Panel(
            "Tokens",
            "Each second, by the provider's count. Cached input is a part of the input, reasoning a part of the output.",
            "short",
            (
                Query(rate("input_tokens_total", OF_TARGET), "input"),
                Query(rate("cached_input_tokens_total", OF_TARGET), "of it cached"),
                Query(rate("output_tokens_total", OF_TARGET), "output"),
                Query(rate("reasoning_tokens_total", OF_TARGET), "of it reasoning"),
            ),
        ),
        Panel(
            "Output tokens by target",
            "Each second, reasoning included.",
            "short",
            (
                Query(
                    f"{rate('output_tokens_total', OF_TARGET, 'provider', 'model', more=CONFIGURED)} > 0",
                    "{{provider}}/{{model}}",
                ),
            ),
            "areas",
        ),
        Panel(
            "Share of reasoning",
            "Reasoning tokens by output tokens.",
            "percentunit",
            (
                Query(
                    f"{rate('reasoning_tokens_total', OF_TARGET, 'provider', 'model')} / {rate('output_tokens_total', OF_TARGET, 'provider', 'model')}",
                    "{{provider}}/{{model}}",
                ),
            ),
            top=1,
        ),
        Panel(
            "Output tokens of a request", "Reasoning included.", "short", quantiles("request_output_tokens"), width=12
        ),
        Panel(
            "Reasoning cut off",
            "Streams whose reasoning ended without an answer: by the length limit, by a tag that was never closed, by a closed connection.",
            "reqps",
            (Query(f"{rate('reasoning_truncated_total', OF_TARGET, 'reason')} > 0", "{{reason}}"),),
            "areas",
            12,
        ),
    ),
)

UPSTREAMS = Row(
    "Who is to blame?",
    (
        Panel(
            "Tries by outcome",
            "Tries of targets; a request may have several.",
            "reqps",
            (Query(f"{rate('upstream_attempts_total', OF_PROVIDER, 'outcome')} > 0", "{{outcome}}"),),
            "areas",
            colours=TRIES,
        ),
        Panel(
            "Failed tries by target",
            "Tries that ended neither well nor by the client's leaving.",
            "reqps",
            (
                Query(
                    f"{rate('upstream_attempts_total', OF_PROVIDER, 'provider', 'model', more=UNWELL)} > 0",
                    "{{provider}}/{{model}}",
                ),
            ),
            "areas",
        ),
        Panel(
            "Available",
            "0 while a target of the provider cools down in some process.",
            "short",
            (
                Query(
                    f'min by (provider) (reasoning_proxy_upstream_available{{{OF_JOB},provider=~"$provider"}})',
                    "{{provider}}",
                ),
            ),
            "steps",
            top=1,
        ),
        Panel(
            "Tried again",
            "The same target once more, by how the try before it ended.",
            "reqps",
            (Query(rate("retries_total", OF_PROVIDER, "provider", "reason"), "{{provider}}: {{reason}}"),),
            "areas",
            12,
        ),
        Panel(
            "Went on to the next target",
            "By how the last try ended.",
            "reqps",
            (
                Query(
                    rate("fallbacks_total", OF_ROUTE, "from_provider", "to_provider", "reason"),
                    "{{from_provider}} to {{to_provider}}: {{reason}}",
                ),
            ),
            "areas",
            12,
        ),
    ),
)

ITSELF = Row(
    "The proxy itself",
    (
        Panel(
            "Overhead",
            "Time that the proxy adds: before the first upstream request, to the first chunk, and processor time of a whole stream.",
            "s",
            (
                Query(quantile(0.5, "overhead_seconds", OF_JOB, "stage"), "p50 {{stage}}"),
                Query(quantile(0.99, "overhead_seconds", OF_JOB, "stage"), "p99 {{stage}}"),
            ),
        ),
        Panel(
            "Event loop late by",
            "99th percentile of each process. Every stream of the process waits as long.",
            "s",
            (Query(quantile(0.99, "event_loop_lag_seconds", OF_JOB, "instance"), "{{instance}}"),),
        ),
        Panel(
            "Oddities in answers",
            "What the normaliser mended or passed over. A new kind is a provider that changed its dialect.",
            "ops",
            (
                Query(
                    f"{rate('normalizer_events_total', OF_PROVIDER, 'provider', 'model', 'kind')} > 0",
                    "{{provider}}/{{model}}: {{kind}}",
                ),
            ),
        ),
        Panel(
            "Processor",
            "Cores in use. One process uses at most about one.",
            "short",
            (Query(f"rate(process_cpu_seconds_total{{{OF_JOB}}}[$__rate_interval])", "{{instance}}"),),
            levels=((0.8, "orange"),),
            width=6,
        ),
        Panel(
            "Memory",
            "Resident.",
            "bytes",
            (Query(f"process_resident_memory_bytes{{{OF_JOB}}}", "{{instance}}"),),
            width=6,
        ),
        Panel(
            "Refused by our limits",
            "Requests above a client key's limits.",
            "reqps",
            (Query(f"{rate('rate_limited_total', OF_ROUTE, 'limit')} > 0", "{{limit}}"),),
            "areas",
            6,
        ),
        Panel(
            "Configuration",
            "1: the last reload was accepted. 0: it was refused, and the process goes on with the old table.",
            "short",
            (Query(f"min by (instance) (reasoning_proxy_config_last_reload_successful{{{OF_JOB}}})", "{{instance}}"),),
            "steps",
            6,
            top=1,
        ),
    ),
)

ROWS = (HEALTHY, FAST, TOKENS, UPSTREAMS, ITSELF)
