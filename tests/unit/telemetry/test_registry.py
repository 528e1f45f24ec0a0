"""Series as slots of one row."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.registry import Histogram, Kind, Registry

BOUNDS = (1.0, 2.0, 4.0)


def a_histogram(registry: Registry) -> Histogram:
    return registry.histogram(registry.family("h", Kind.HISTOGRAM, "x", ("a",), bounds=BOUNDS), "1")


@given(st.lists(st.floats(0, 10)))
def test_histogram_counts_each_value_in_every_bucket_that_holds_it(values: list[float]) -> None:
    registry = Registry()
    histogram = a_histogram(registry)
    for value in values:
        histogram.observe(value)
    for bound in BOUNDS:
        found = registry.get_sample_value("h_bucket", {"a": "1", "le": str(bound)})
        assert found == sum(value <= bound for value in values)
    assert registry.get_sample_value("h_bucket", {"a": "1", "le": "+Inf"}) == len(values)
    assert registry.get_sample_value("h_count", {"a": "1"}) == len(values)
    assert registry.get_sample_value("h_sum", {"a": "1"}) == pytest.approx(sum(values))


def test_row_counted_elsewhere_adds_up_with_what_is_there() -> None:
    registry = Registry()
    histogram = a_histogram(registry)
    histogram.observe(3.0)
    histogram.add([1.0, 0.0, 2.0, 1.0, 15.5])
    counted = [registry.get_sample_value("h_bucket", {"a": "1", "le": le}) for le in ("1.0", "2.0", "4.0", "+Inf")]
    assert counted == [1.0, 1.0, 4.0, 5.0]
    assert registry.get_sample_value("h_sum", {"a": "1"}) == 18.5


def test_series_stay_what_they_are_while_others_come() -> None:
    registry = Registry()
    family = registry.family("c_total", Kind.COUNTER, "x", ("a",))
    one = registry.counter(family, "1")
    one.inc()
    others = [registry.counter(family, str(number)) for number in range(2, 100)]
    for other in others:
        other.inc(2.0)
    registry.counter(family, "1").inc()
    assert registry.get_sample_value("c_total", {"a": "1"}) == 2.0
    assert registry.get_sample_value("c_total", {"a": "99"}) == 2.0
    assert registry.lines == 99


@pytest.mark.parametrize(
    ("name", "labels"),
    [("no", {}), ("h_sum", {"a": "2"}), ("h_sum", {"b": "1"}), ("h_sum", None), ("no_sum", {"a": "1"})],
)
def test_value_of_nothing_is_none(name: str, labels: Any) -> None:
    registry = Registry()
    a_histogram(registry)
    assert registry.get_sample_value(name, labels) is None


def test_names_come_once_and_labels_are_complete() -> None:
    registry = Registry()
    family = registry.family("g", Kind.GAUGE, "x", ("a", "b"))
    with pytest.raises(ValueError, match="there already"):
        registry.family("g", Kind.GAUGE, "x")
    with pytest.raises(ValueError, match="has the labels"):
        registry.gauge(family, "only one")
