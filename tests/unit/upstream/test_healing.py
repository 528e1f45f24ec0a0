"""What is learnt of each target, and how a request is mended once."""

import io
import json
from typing import Any

from proxy.core.dialect import History, Manner
from proxy.core.healing import Remedy
from proxy.telemetry.logs import Log
from proxy.telemetry.metrics import Metrics
from proxy.upstream import healing
from proxy.upstream.healing import MOST, MOST_REMEDIES, Healings, Mending
from tests.support.refusals import BARE, MISSING, WITH_FIELD, WITHOUT, refusal
from tests.support.samples import samples, total

OPTIONS = Remedy("drop", "stream_options", "body")
MANNER = Manner(history=History(replay="field", self_heal=True))


class Proxy:
    """Healings with the log and the metrics that they write to."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.metrics = Metrics("1")
        self.target = self.metrics.target("r", "house", "{model}")
        self.healings = Healings(Log(self.out, as_text=False))

    def learn(self, *remedies: Remedy, model: str = "m") -> None:
        self.healings.learn("house", model, remedies, self.target)

    def mending(self, manner: Manner = MANNER, sent: Any = WITH_FIELD) -> Mending:
        mending = Mending(self.healings, "house", "m", manner, self.target)
        mending.sent = sent
        return mending

    def counted(self, action: str, field: str) -> float:
        labels = {"provider": "house", "model": "{model}", "action": action, "field": field}
        return total(samples(self.metrics.render()), "self_heal_total", **labels)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def test_a_remedy_is_logged_and_counted_once_under_configured_names() -> None:
    proxy = Proxy()
    proxy.learn(BARE)
    proxy.learn(BARE)
    (line,) = proxy.lines
    assert {key: line[key] for key in line if key != "ts"} == {
        "level": "warning",
        "event": "self_healed",
        "provider": "house",
        "model": "{model}",
        "action": "drop",
        "field": "reasoning_content",
        "place": "message",
    }
    assert proxy.counted("drop", "reasoning_content") == 1
    assert proxy.healings.remedies("house", "m") == (BARE,)


def test_a_field_that_only_a_client_knows_is_in_no_log_line_and_no_label() -> None:
    proxy = Proxy()
    proxy.learn(Remedy("drop", "canary", "body"))
    assert "canary" not in proxy.out.getvalue() + proxy.metrics.render().decode()
    assert proxy.counted("drop", "other") == 1
    assert proxy.healings.remedies("house", "m")[0].field == "canary"


def test_targets_are_told_apart_by_provider_and_model() -> None:
    proxy = Proxy()
    proxy.learn(BARE)
    assert proxy.healings.remedies("house", "other") == proxy.healings.remedies("elsewhere", "m") == ()
    assert proxy.healings.manner("house", "other", MANNER) is MANNER
    assert proxy.healings.manner("house", "m", MANNER).history.replay == "drop"


def test_a_healed_manner_is_made_once_and_again_for_another_configuration() -> None:
    proxy = Proxy()
    proxy.learn(BARE)
    first = proxy.healings.manner("house", "m", MANNER)
    assert proxy.healings.manner("house", "m", MANNER) is first
    reloaded = Manner(history=History(replay="tags", self_heal=True))
    assert proxy.healings.manner("house", "m", reloaded).history == History(
        replay="tags", self_heal=True, strip_fields=("reasoning_content",)
    )
    proxy.learn(OPTIONS)
    assert proxy.healings.manner("house", "m", MANNER).response.usage.request == "never"


def test_the_newest_word_about_a_field_replaces_the_older_one() -> None:
    proxy = Proxy()
    proxy.learn(BARE, OPTIONS)
    proxy.learn(MISSING)
    assert proxy.healings.remedies("house", "m") == (OPTIONS, MISSING)
    assert proxy.healings.manner("house", "m", MANNER).history.backfill == "empty_string"


def test_memory_is_bounded_in_remedies_and_in_targets(monkeypatch: Any) -> None:
    proxy = Proxy()
    for number in range(MOST_REMEDIES + 3):
        proxy.learn(Remedy("drop", f"k{number}", "body"))
    kept = proxy.healings.remedies("house", "m")
    assert [remedy.field for remedy in kept] == [f"k{number}" for number in range(3, MOST_REMEDIES + 3)]
    assert MOST > 3
    monkeypatch.setattr(healing, "MOST", 3)
    for model in "abc":
        proxy.learn(BARE, model=model)
    proxy.healings.manner("house", "a", MANNER)
    proxy.learn(BARE, model="d")
    assert [model for model in "mabcd" if proxy.healings.remedies("house", model)] == ["a", "c", "d"]


def test_a_request_is_mended_and_learnt_only_once_the_target_answers() -> None:
    proxy = Proxy()
    mending = proxy.mending()
    mending.taken()
    assert proxy.lines == []
    assert mending.mend(422, refusal("mistral").said)
    assert mending.manner.history.replay == "drop"
    assert proxy.healings.remedies("house", "m") == ()
    mending.taken()
    mending.taken()
    assert proxy.healings.remedies("house", "m") == (BARE,)
    assert len(proxy.lines) == 1
    assert proxy.mending().manner.history.replay == "drop"


def test_what_is_no_known_refusal_or_changes_nothing_is_not_tried_again() -> None:
    proxy = Proxy()
    assert not proxy.mending().mend(422, "maximum context length")
    assert not proxy.mending().mend(500, refusal("mistral").said)
    writing = Manner(history=History(replay="field", backfill="empty_string", self_heal=True))
    assert not proxy.mending(writing, WITHOUT).mend(400, refusal("deepseek").said)
