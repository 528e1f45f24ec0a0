"""The byte path gives what the parser gives, whatever stands where a text was expected."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.byte_path import BytePath
from proxy.core.dialect import Details, Dialect, Tags
from proxy.core.errors import UpstreamUnavailable
from proxy.core.normalizer import Normalizer
from tests.support.paths import both
from tests.support.strategies import cuts, pieces
from tests.support.streams import DONE, body, chunk, context, dumped

_FRAME = (
    b'{"id":"up-1","object":"chat.completion.chunk","created":1764000000,"model":"m-1","choices":[{"index":0,"delta":{'
)
_REST = b'},"finish_reason":null}]}'
_DETAILS = b'"reasoning":"%s","reasoning_details":[{"type":"reasoning.text","text":"%s"}]'
_CALL = b'"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]'
_DELTAS = [
    b'"reasoning_content":"%s"',
    b'"reasoning_content":"%s","content":null',
    b'"reasoning":"%s"',
    b'"role":"assistant","content":"","reasoning":"%s"',
    b'"reasoning":"%s","reasoning_content":"%s"',
    b'"content":"%s"',
    b'"role":"assistant","content":"%s","reasoning":null',
    _DETAILS,
    _CALL,
]
_TEXTS = [b"a", b" odd", b" is ", b"the", b"reasoning_content", "é—“世".encode(), "😀".encode()]
_ESCAPES = [
    rb"\n",
    rb"\"",
    rb"\\",
    rb"\/",
    rb"\u003c",
    rb"\u003cthink\u003e",
    rb"\ud83d",
    rb"\ude00",
    rb"\u0000",
    rb"\u00e9",
]
_TAGS = [b"<think>", b"</think>", b"<", b"</th", b"ink>", b"<answer>", b"\xe2\x97\x81think\xe2\x96\xb7"]
_BREAKS = [
    *[
        b'"',
        b"\\",
        rb"\x",
        rb"\u12",
        rb"\"reasoning_content\":",
        b"\x00",
        b"\x1f",
        b"\n",
        b"\n\n",
        b"\r",
        b"\xff",
        b"\xe2\x97",
    ],
    *[
        b'","content":"x',
        b'","reasoning_content":"',
        b'"},"index":1,"delta":{"content":"b',
        _REST + b"\n\n",
        b"\xed\xa0\xbd",
    ],
]
_written = st.lists(st.sampled_from([*_TEXTS, *_TEXTS, *_ESCAPES, *_TAGS, *_BREAKS]), max_size=3).map(b"".join)
_harmless = st.lists(st.sampled_from([*_TEXTS, *_ESCAPES]), min_size=1, max_size=2).map(b"".join)
_KEYS = [
    (b'"reasoning_content":', rb'"\u0072easoning_content":'),
    (b'"reasoning_content":', b'"reasoning_content" : '),
    (b'"content":', b'"xcontent":'),
    (b'"delta":{', b'"delta":{"content":"twice",'),
    (b'"id":"up-1"', b'"id":"up-1","id":"up-2"'),
    (b'"index":0', b'"index":1'),
    (b'"finish_reason":null', b'"finish_reason":null,"finish_reason":"stop"'),
    (b'{"id"', b' {"id"'),
    (b"1764000000", b"1764000001"),
    (b'"choices"', rb'"note":"\"choices\":[{}]","choices"'),
    (_REST, _REST[:-1] + b',"usage":{"prompt_tokens":1,"completion_tokens":2}}'),
]
_paddings = st.sampled_from(
    [b"", b"x", b"4Zx", b"a+/=_-", b"a", rb"\u0061", b"a b", b'","choices":[],"x":"', b'"', b"\n\n"]
)


@st.composite
def _events(draw: st.DrawFn) -> bytes:
    """Runs of events with one frame, now and then another one or a changed one, and texts that are none."""
    out: list[bytes] = []
    for _ in range(draw(st.integers(1, 3))):
        delta = draw(st.sampled_from(_DELTAS))
        lead = draw(st.sampled_from([b"data: ", b"data: ", b"data:"]))
        padded = draw(st.booleans())
        for text in draw(st.lists(_harmless | _written, min_size=3, max_size=9)):
            event = _FRAME + delta.replace(b"%s", text) + _REST
            if padded:
                event = event[:-1] + b',"obfuscation":"%s"}' % draw(_paddings)
            if draw(st.integers(0, 9)) == 0:
                event = event.replace(*draw(st.sampled_from(_KEYS)))
            out.append(lead + event + b"\n\n")
            if draw(st.integers(0, 19)) == 0:
                out.append(
                    draw(st.sampled_from([b": note\n\n", b"\n", b"event: x\n", b"data: {}\n\n", b"id: 1\r\n\r\n"]))
                )
    return b"".join(out)


_dialects = st.sampled_from(
    [
        Dialect(),
        Dialect(),
        Dialect(tags=Tags(position="anywhere", blocks="all", trim="inner", case_sensitive=False)),
        Dialect(
            tags=Tags(implicit_start="always", trim="none", pairs=(("<think>", "</think>"), ("◁think▷", "</think>")))
        ),
        Dialect(tags=Tags(implicit_start="always", unclosed="content_if_stop")),
        Dialect(fields=("reasoning",), details=None, flag=None, tags=Tags(pairs=())),
        Dialect(details=Details(snapshots=True), fields=("thinking", "reasoning")),
        Dialect(dedupe_repeated_reasoning=True),
    ]
)
_CALLED = chunk(
    {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
)
_OPENINGS = [[], [chunk({"content": "<think>a"})], [chunk({"content": "x"})], [chunk({"reasoning": "a"})], [_CALLED]]


@settings(max_examples=250)
@given(st.sampled_from(_OPENINGS), _events(), _dialects, cuts, st.booleans(), st.booleans())
def test_both_paths_say_the_same_whatever_the_host_writes(
    opening: list[object], events: bytes, dialect: Dialect, places: list[int], ends: bool, breaks: bool
) -> None:
    upstream = body(chunk({"role": "assistant", "content": ""}), *opening, done=False) + events
    if ends:
        upstream += body(chunk({}, "stop"), done=False) + DONE
    broken = UpstreamUnavailable("The upstream broke off.") if breaks else None
    asked = context(dialect, usage=True)
    assert both([upstream], asked, broken).out == both(pieces(upstream, places), asked, broken).out


def test_runs_are_taken_by_the_byte_path() -> None:
    """The strategies say something: both paths would be the same if nothing took the one."""
    for delta in _DELTAS:
        opening = [_CALLED] if delta is _CALL else [chunk({"content": "x"})] if delta.startswith(b'"content"') else []
        normalizer = Normalizer(context())
        for one in [chunk({"role": "assistant", "content": ""}), *opening]:
            normalizer.feed(dumped(one))
        path = BytePath(normalizer)
        blocks = [b"data: " + _FRAME + delta.replace(b"%s", text) + _REST for text in (b"a", b" b", b" c", b" d")]
        taken = []
        for block in blocks:
            taken.append(path.take(block + b"\n\n", 0) is not None)
            if not taken[-1]:
                normalizer.feed(block[6:])
                path.learn(block)
        assert taken[-1], delta
