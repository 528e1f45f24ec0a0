"""What the bench's own tests share."""

from collections.abc import Iterator

import pytest

from tests.bench import kit as kits
from tests.bench.kit import Kit


@pytest.fixture(scope="module", params=("c", "python"))
def kit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    if request.param == "c" and kits.kind() != "c":
        pytest.skip("no C compiler")
    with Kit(tmp_path_factory.mktemp(request.param), request.param) as started:
        yield started
