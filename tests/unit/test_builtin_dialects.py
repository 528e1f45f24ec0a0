"""The tag dialects of the built-in servers, and the pages that describe dialects and providers."""

import re
from functools import cache

import pytest
import yaml

from proxy.core.dialect import Tags
from proxy.core.splitter import TagSplitter
from proxy.core.tags import grammar
from proxy.settings import loads
from tests.support.builtin_files import ROOT, Loader, data, key_of, manner, names

THINK = ("<think>\nwhy\n</think>\n\nso", "why", "so")
OPENED = ("why\n</think>\n\nso", "why", "so")

RAW: list[tuple[str, tuple[str, str, str]]] = [
    ("Qwen/Qwen3-8B", THINK),
    ("Qwen/QwQ-32B", OPENED),
    ("Qwen/Qwen3-4B-Thinking-2507", OPENED),
    ("qwen3-4b-thinking-2507", OPENED),
    ("Qwen/Qwen3.5-9B", ("why<tool_call>{}</tool_call>", "why", "<tool_call>{}</tool_call>")),
    ("deepseek-ai/DeepSeek-R1", OPENED),
    ("deepseek-ai/DeepSeek-R1-0528", THINK),
    ("zai-org/GLM-4.6", THINK),
    ("MiniMaxAI/MiniMax-M2", OPENED),
    ("MiniMaxAI/MiniMax-M3", ("why</mm:think>so", "why", "so")),
    ("moonshotai/Kimi-K2.5", ("<think>why<|tool_calls_section_begin|>", "why", "<|tool_calls_section_begin|>")),
    ("moonshotai/Kimi-VL-A3B-Thinking", ("◁think▷why◁/think▷so", "why", "so")),
    ("ByteDance-Seed/Seed-OSS-36B-Instruct", ("<seed:think>why</seed:think>so", "why", "so")),
    ("mistralai/Magistral-Small-2509", ("[THINK]why[/THINK]so", "why", "so")),
    ("google/gemma-4-31b-it", ("<|channel>thought\nwhy<channel|>so", "why", "so")),
    (
        "openai/gpt-oss-20b",
        (
            "<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>so<|return|>",
            "why",
            "so",
        ),
    ),
    ("ibm-granite/granite-3.2-8b", ("Here is my thought process: why Here's my response: so", "why", "so")),
    ("ibm-granite/granite-3.3-8b", ("<think>why</think><response>so</response>", "why", "so")),
    ("baidu/ERNIE-4.5-21B-A3B-Thinking", ("<think>why</think>\n<response>\nso</response>", "why", "so")),
    ("swiss-ai/Apertus-8B", ("<|inner_prefix|>wh<|inner_suffix|>s<|inner_prefix|>y<|inner_suffix|>o", "why", "so")),
    (
        "Inkling-small",
        ("<|content_thinking|>why<|end_message|><|message_model|><|content_text|>so<|end_message|>", "why", "so"),
    ),
    ("CohereLabs/command-a-reasoning-08-2025", ("why<|END_THINKING|><|START_TEXT|>so<|END_TEXT|>", "why", "so")),
    ("tencent/Hunyuan-A13B-Instruct", ("<think>\nwhy\n</think>\n<answer>\nso\n</answer>", "why", "so")),
]


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(("model", "case"), RAW)
@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_raw_text_of_a_model_family_is_told_apart(name: str, model: str, case: tuple[str, str, str], size: int) -> None:
    text, reasoning, answer = case
    assert split(manner(name, model).response.tags, text, size) == (reasoning, answer)


def split(tags: Tags, text: str, size: int = 10_000) -> tuple[str, str]:
    splitter = TagSplitter(grammar(tags), inside=tags.implicit_start != "never")
    pieces = [piece for at in range(0, len(text), size) for piece in splitter.feed(text[at : at + size])]
    pieces += splitter.close(stopped=True)
    return "".join(t for is_reasoning, t in pieces if is_reasoning), "".join(t for r, t in pieces if not r)


# --- the pages ---


@cache
def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def fenced(name: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", page(name), flags=re.DOTALL | re.MULTILINE)


def test_the_table_of_providers_says_what_the_files_say() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (.+?) \| (\S+) \| .+ \| ([A-D]) \|$", page("providers.md"), flags=re.MULTILINE
    )
    expected = [(name, f"`{key}`" if (key := key_of(name)) else "–", data(name)["sure"]) for name in names()]
    assert [(name, key, sure) for name, _, key, sure in rows] == expected
    for name, host, _, _ in rows:
        assert data(name)["title"].startswith(host.rstrip(")").split(" (")[0])


@pytest.mark.parametrize("text", fenced("dialects.md"))
def test_every_example_of_the_dialects_page_is_valid(text: str) -> None:
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    table = f"version: 1\nproviders:\n  house:\n    base_url: http://127.0.0.1:1/v1\n{indented}"
    loads(f"{table}routes: [{{model: m, targets: [house/m]}}]\n", "table.yaml", {})


@pytest.mark.parametrize("text", fenced("providers.md"))
def test_every_example_of_the_providers_page_is_valid(text: str) -> None:
    (first, *_) = yaml.load(text, Loader)["providers"]
    keys = {"DEEPSEEK_API_KEY": "a-key-of-the-test", "AZURE_OPENAI_API_KEY": "a-key-of-the-test"}
    loads(f"version: 1\n{text}routes: [{{model: m, targets: [{first}/m]}}]\n", "table.yaml", keys)


@pytest.mark.parametrize(
    "case",
    [
        *(case for _, case in RAW),
        ("<|begin_of_thought|>why<|end_of_thought|>\n<|begin_of_solution|>so<|end_of_solution|>", "why", "so"),
        ("<Reasoning>why</Reasoning>so", "why", "so"),
    ],
)
def test_some_example_of_the_dialects_page_reads_every_tag_dialect(case: tuple[str, str, str]) -> None:
    text, reasoning, answer = case
    examples = [tags for text in fenced("dialects.md") if (tags := tags_of(text))]
    assert (reasoning, answer) in [split(tags, text) for tags in examples]


def tags_of(text: str) -> Tags | None:
    """The tags of an example, as the settings read them; None where it says nothing of tags."""
    block = yaml.load(text, Loader).get("response", {})
    if not isinstance(block.get("tags"), dict):
        return None
    provider = {"base_url": "http://127.0.0.1:1/v1", "response": block}
    table = {"version": 1, "providers": {"house": provider}, "routes": [{"model": "m", "targets": ["house/m"]}]}
    (route,) = loads(yaml.safe_dump(table), "table.yaml", {}).routes
    return route.targets[0].manner_of("m").response.tags
