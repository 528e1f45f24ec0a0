"""docs/controls.md says what the built-ins and the tests say."""

from tests.support.controls import PAGE, TABLES, filled


def test_the_page_holds_the_tables_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run scripts/controls --write"
    assert all(f"<!-- table: {name} -->\n| " in page for name in TABLES)
