"""The outcome of a whole run, as a table per dialect and cut."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.conformance.course import CUTS, Effort, Result
from tests.conformance.rules import RULES

FAMILIES = (
    ("recording", "Recordings"),
    ("quirk", "Quirks"),
    ("generic", "Parser tables, generic cases"),
    ("policy", "Parser tables, cases that depend on a policy"),
    ("model-specific", "Parser tables, cases of one model's template"),
)


@dataclass
class Tally:
    """Collects results; `markdown` is the report."""

    effort: Effort
    results: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.results.append(result)

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if any(result.faults.values())]

    def markdown(self) -> str:
        responses = sum(sum(result.responses.values()) for result in self.results)
        limit = f"byte by byte: bodies of up to {self.effort.byte_limit} bytes; random cuts of each body: {self.effort.randoms}"
        if not self.effort.full:
            limit += ", for a streaming client alone (REASONING_PROXY_CONFORMANCE=full tries more)"
        lines = [
            "# Conformance",
            "",
            f"{len(self.results)} cases, {responses} responses, {len(self.failed)} cases failed.",
            f"Seed {self.effort.seed}; {limit}.",
            "",
            "A cell is cases passed / cases served in that cut, each for a streaming and a whole client.",
        ]
        for family, title in FAMILIES:
            chosen = [result for result in self.results if result.case.family == family]
            if chosen:
                lines += ["", f"## {title}", "", *_table(chosen)]
        return "\n".join([*lines, *self._rules(), *self._unsayable(), *self._failures(), ""])

    def _rules(self) -> list[str]:
        lines = [
            "",
            "## Where the contract decides against a fixture",
            "",
            "| rule | guarantee | reason | cases |",
            "|---|---|---|---|",
        ]
        for rule in RULES:
            names = [result.case.name for result in self.results if rule.name in result.rules]
            if names:
                lines.append(f"| {rule.name} | {rule.guarantee} | {rule.reason} | {', '.join(names)} |")
        return lines

    def _unsayable(self) -> list[str]:
        found = [result.case for result in self.results if result.case.unsayable]
        if not found:
            return []
        head = [
            "",
            "## Texts not compared",
            "",
            "Served and checked for the schema, but no setting gives the expected texts.",
            "",
        ]
        return head + [f"- {case.name}: {case.unsayable}" for case in found]

    def _failures(self) -> list[str]:
        lines = ["", "## Failures", ""] if self.failed else []
        for result in self.failed:
            for cut, faults in result.faults.items():
                lines += [f"- {result.case.id} ({cut}): {fault}" for fault in faults[:3]]
        return lines


def _table(results: list[Result]) -> list[str]:
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: {cut: [0, 0] for cut in (*CUTS, "all")})
    for result in results:
        for row in (result.case.dialect, "**all**"):
            for cut in result.responses:
                rows[row][cut][0] += not result.faults[cut]
                rows[row][cut][1] += 1
            rows[row]["all"][0] += not any(result.faults.values())
            rows[row]["all"][1] += 1
    lines = [f"| dialect | {' | '.join(CUTS)} | every cut |", "|---" * (len(CUTS) + 2) + "|"]
    for row in sorted(rows, key=lambda name: (name == "**all**", name)):
        cells = [f"{passed}/{served}" if served else "" for passed, served in rows[row].values()]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines
