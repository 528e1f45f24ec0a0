"""`doctor` before upstreams of several kinds: what it tells of them, and that the YAML it gives reads them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.settings import loads
from tests.support.scripted import Asked, Script, Wire, answer, delta, scripted

PROSE = "I divide by the small primes, one after the other."
Doctor = Callable[..., tuple[int, dict[str, Any]]]
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


def host(answering: Answer, *, done: bool = True, models: Any = None) -> Script:
    """An upstream whose stream says what its whole answer says, in one event."""

    async def script(asked: Asked, wire: Wire) -> None:
        if asked.method == "GET":
            await wire.whole(models or {"data": [{"id": "m"}]})
            return
        status, said = answering(asked.json)
        if status != 200 or not asked.json.get("stream"):
            await wire.whole(said, status)
            return
        first = said["choices"][0]
        await wire.head()
        await wire.event(delta(first["message"]))
        await wire.event(delta({}, first.get("finish_reason")))
        if done:
            await wire.event(b"[DONE]")
        await wire.end()

    return script


def spoken(**said: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    return {"id": "up-1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}


def refusal(message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"error": {"message": message, "type": "invalid_request_error"}}


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def call(script: Script, *args: str, entry: str = "", model: str = "m") -> tuple[int, dict[str, Any]]:
        with scripted(script) as upstream:
            Path("proxy.yaml").write_text(
                f"version: 1\nproviders:\n  house: {{base_url: {upstream.url!r}{entry}}}\n"
                f"routes: [{{model: r, targets: [house/{model}]}}]\n"
            )
            code = main(["doctor", "house", "-c", "proxy.yaml", "--json", *args])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        told["sent"] = [asked.json for asked in upstream.asked if asked.method == "POST"]
        told["by"] = {each["probe"]: each for each in told["findings"]}
        return code, told

    return call


def test_a_host_that_detection_reads_needs_nothing(doctor: Doctor) -> None:
    def silent_on_wish(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, answer("No.", "" if body.get("reasoning_effort") == "none" else PROSE)

    code, told = doctor(
        host(silent_on_wish), entry=", request: {effort: {field: reasoning_effort}, off: {reasoning_effort: none}}"
    )
    assert (code, told["yaml"]) == (0, {})
    assert {each["ok"] for each in told["findings"]} == {True}
    assert told["by"]["off"]["says"] == "no reasoning"
    assert [body.get("stream") for body in told["sent"]][:2] == [True, None]


def test_the_yaml_that_it_gives_reads_an_unknown_dialect(doctor: Doctor) -> None:
    odd = host(lambda _: (200, spoken(content="No.", musing=PROSE)), done=True)
    code, told = doctor(odd)
    assert code == 1
    assert told["yaml"]["response"]["fields"][0] == "musing"
    assert not told["by"]["reading stream"]["ok"]
    code, told = doctor(odd, entry=f", response: {json.dumps(told['yaml']['response'])}")
    assert (code, told["yaml"]) == (0, {})


def test_the_switch_of_a_host_is_found(doctor: Doctor) -> None:
    def templated(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        off = body.get("chat_template_kwargs", {}).get("enable_thinking") is False
        return 200, answer("No.", "" if off else PROSE)

    code, told = doctor(host(templated))
    assert code == 0
    assert told["yaml"]["request"]["off"] == {"chat_template_kwargs": {"enable_thinking": False}}
    table = f"version: 1\nproviders: {{house: {{base_url: 'http://x/v1', request: {json.dumps(told['yaml']['request'])}}}}}\n"
    assert loads(table + "routes: [{model: r, targets: [house/m]}]\n", "told", {})


def test_the_switch_is_found_where_the_template_begins_the_block(doctor: Doctor) -> None:
    def templated(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        off = body.get("chat_template_kwargs", {}).get("enable_thinking") is False
        return 200, spoken(content="No." if off else f"{PROSE}</think>No.")

    _, told = doctor(host(templated))
    assert told["yaml"]["response"] == {"tags": {"implicit_start": "when_thinking"}}
    assert told["yaml"]["request"]["off"] == {"chat_template_kwargs": {"enable_thinking": False}}


def test_a_switch_that_does_nothing_is_told(doctor: Doctor) -> None:
    code, told = doctor(host(lambda _: (200, answer("No.", PROSE))), entry=", request: {off: {think: false}}")
    assert code == 1
    assert told["by"]["off"] == {
        "probe": "off",
        "ok": False,
        "says": f"{len(PROSE)} characters of reasoning came all the same",
    }


def test_no_switch_and_no_reasoning_are_nothing_to_judge(doctor: Doctor) -> None:
    code, told = doctor(host(lambda _: (200, answer("No.", PROSE))))
    assert (code, told["by"]["off"]["says"]) == (0, "none of the known switches works")
    code, told = doctor(host(lambda _: (200, answer("No.", ""))))
    assert (code, told["by"]["off"]["ok"]) == (0, None)
    code, told = doctor(host(lambda _: (200, answer("No.", PROSE))), entry=", request: {hide: {hidden: true}}")
    assert (code, told["by"]["off"]["says"]) == (0, "the configuration knows no switch")
    assert told["by"]["effort low"]["ok"] is None


def test_a_known_refusal_gives_the_yaml_that_mends_it(doctor: Doctor) -> None:
    def strict(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for message in body["messages"]:
            if message.get("tool_calls") and "reasoning_content" not in message:
                return refusal("The `reasoning_content` in the thinking mode must be passed back to the API.")
        if "stream_options" in body:
            return refusal("Unrecognized request argument supplied: stream_options")
        return 200, answer("No.", PROSE)

    code, told = doctor(host(strict))
    assert code == 1
    assert told["by"]["tool result"]["says"].endswith("With the YAML below it is taken.")
    assert told["yaml"]["history"] == {"replay": "field", "backfill": "empty_string"}
    assert told["yaml"]["response"] == {"usage": {"request": "never"}}
    entry = "".join(f", {block}: {json.dumps(values)}" for block, values in told["yaml"].items())
    code, told = doctor(host(strict), entry=entry)
    assert (code, told["yaml"]) == (0, {})


def test_an_unknown_refusal_is_told_as_it_is(doctor: Doctor) -> None:
    code, told = doctor(host(lambda _: refusal("the moon is full")))
    assert code == 1
    assert told["by"]["whole answer"]["says"] == "refused (400): the moon is full"
    assert told["yaml"] == {}


def test_a_host_that_does_not_stream_is_told(doctor: Doctor) -> None:
    async def whole_only(asked: Asked, wire: Wire) -> None:
        await wire.whole({"data": []} if asked.method == "GET" else answer("No.", ""))

    code, told = doctor(whole_only)
    assert code == 1
    assert "but it is one JSON body" in told["by"]["stream"]["says"]
    assert told["by"]["models"]["ok"] is None


def test_people_get_a_page(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(host(lambda _: (200, answer("No.", "")))) as upstream:
        Path("proxy.yaml").write_text(
            f"version: 1\nproviders:\n  house: {{base_url: {upstream.url!r}}}\nroutes: [{{model: '*', targets: ['house/{{model}}']}}]\n"
        )
        code = main(["doctor", "house", "-c", "proxy.yaml"])
        page = capsys.readouterr().out
        assert code == 0
        assert page.startswith(f"house/m at {upstream.url}\n  ok  models")
        assert page.endswith("the configuration fits it\n")
        upstream.script = host(lambda _: (200, spoken(content="No.", musing=PROSE)))
        assert main(["doctor", "house", "-c", "proxy.yaml", "--model", "other"]) == 1
    page = capsys.readouterr().out
    assert "1 listed; other is not among them" in page
    assert '\n  response:\n    fields: ["musing", ' in page


def test_several_models_ask_for_a_choice(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    listed = {"data": [{"id": f"m{number}"} for number in range(14)]}
    with scripted(host(lambda _: (200, answer()), models=listed)) as upstream:
        Path("proxy.yaml").write_text(
            f"version: 1\nproviders:\n  house: {{base_url: {upstream.url!r}}}\nroutes: [{{model: '*', targets: ['house/{{model}}']}}]\n"
        )
        assert main(["doctor", "house", "-c", "proxy.yaml"]) == 1
    told = capsys.readouterr().err
    assert "say which model with --model; the provider lists m0, m1" in told
    assert "m11 and 2 more" in told


def test_what_cannot_be_asked_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REASONING_PROXY_CONFIG", "REASONING_PROXY_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    told = []
    Path("proxy.yaml").write_text(
        "version: 1\nproviders: {far: {base_url: 'http://127.0.0.1:9/v1'}, theirs: {base_url: 'http://127.0.0.1:9/v1', api_key: {from: client}}}\n"
        "routes: [{model: r, targets: [far/m, theirs/m]}]\n"
    )
    for args in (
        ["deepsek"],
        ["deepseek"],
        ["farr", "-c", "proxy.yaml"],
        ["far", "-c", "proxy.yaml"],
        ["theirs", "-c", "proxy.yaml"],
    ):
        assert main(["doctor", *args]) == 1
        told.append(capsys.readouterr().err)
    assert "no built-in is named 'deepsek'" in told[0]
    assert "DEEPSEEK_API_KEY" in told[1]
    assert "no built-in and no provider of proxy.yaml is named 'farr'" in told[2]
    assert "cannot be reached" in told[3]
    assert "REASONING_PROXY_KEY" in told[4]


def test_a_host_that_says_nothing_is_not_waited_for_for_ever(
    doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    async def silent(_: Asked, wire: Wire) -> None:
        await wire.gone()

    with scripted(silent) as upstream:
        Path("proxy.yaml").write_text(
            f"version: 1\nproviders:\n  house: {{base_url: {upstream.url!r}}}\nroutes: [{{model: r, targets: [house/m]}}]\n"
        )
        assert main(["doctor", "house", "-c", "proxy.yaml", "--timeout", "1"]) == 1
    assert "no whole answer within 1 s (--timeout)" in capsys.readouterr().err
