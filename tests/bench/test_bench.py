"""The bench itself: that it notices what is wrong, that both kits agree, that its arithmetic is right."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import goals, install, page, plots, probe, processes
from tests.bench.answers import DIALECTS, SHAPES, WrongAnswerError, answer, request_of
from tests.bench.cells import cpu_cells, doubled_then_halved
from tests.bench.extents import extent_cells
from tests.bench.kit import Kit, Loaded
from tests.bench.load import percentiles
from tests.bench.peers import BARE, NGINX, OURS, PEERS, Site
from tests.bench.results import Results
from tests.bench.table import text
from tests.support.figures import taken

KINDS = ("c", "python")
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(body: bytes, size: int) -> list[bytes]:
    """Pieces of `size` body bytes, each in an HTTP chunk of its own."""
    cuts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = [b"%x\r\n%b\r\n" % (len(cut), cut) for cut in cuts]
    return [HEAD + framed[0], *framed[1:], b"0\r\n\r\n"]


def play(kit: Kit, folder: Path, pieces: list[bytes], marks: int) -> Loaded:
    """One answer of these pieces through the kit's programs, with so many marks expected."""
    name = f"made.{time.monotonic_ns()}"
    lengths = " ".join(str(len(piece)) for piece in pieces)
    (kit.folder / name).write_bytes(f"0 {len(pieces)}\n{lengths}\n".encode() + b"".join(pieces))
    request = folder / "request"
    request.write_bytes(request_of(name))
    command = kit.command("load", str(kit.port), request, str(marks), "streams", "1", "0", "5")
    return Loaded.of(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=20).stdout))


PLAYED = (
    "whole.reasoning_content.0.0",
    "whole.think_tags.0.0",
    "burst.reasoning_content.40.0",
    "block.reasoning.40.0",
    "each.think_tags.40.0",
    "paced.reasoning_content.40.1",
)


@pytest.mark.parametrize("model", PLAYED)
def test_both_programs_count_what_was_prepared(kit: Kit, model: str) -> None:
    before = kit.stats()
    loaded = kit.streams(kit.port, model, 3, 0.01, 20)
    after = kit.stats()
    assert (loaded.errors, loaded.first_error) == (0, "")
    assert (loaded.answers, loaded.marks, loaded.first.timed) == (3, 3 * answer(model).marks, 3)
    assert loaded.delay.timed == (loaded.marks if model.startswith("paced") else 0)
    assert (after["answers"] - before["answers"], after["marks"] - before["marks"]) == (3, loaded.marks)
    assert after["left"] == before["left"]


def test_a_closed_loop_gives_as_many_answers_as_the_upstream_gave(kit: Kit) -> None:
    before = kit.stats()["answers"]
    loaded = kit.closed(kit.port, "whole.reasoning_content.0.0", 2, 0.05)
    assert loaded.answers == kit.stats()["answers"] - before >= 2
    assert loaded.marks == 2 * loaded.answers


@pytest.mark.parametrize("size", [1, 7, 16])
def test_marks_cut_anywhere_are_counted(kit: Kit, tmp_path: Path, size: int) -> None:
    body = b"@ @@ @@1 x@@0000000000000,@ @@0000000000000 @@0000000000000\n\ndata: [DONE]\n\n"
    wanted = 3
    loaded = play(kit, tmp_path, chunked(body, size), wanted)
    assert (loaded.errors, loaded.first_error, loaded.marks) == (0, "", wanted)


@pytest.mark.parametrize("marks", [0, 2])
def test_a_wrong_number_of_marks_is_an_error(kit: Kit, tmp_path: Path, marks: int) -> None:
    loaded = play(kit, tmp_path, chunked(b"@@0000000000000 [DONE]\n\n", 99), marks)
    assert (loaded.answers, loaded.errors, loaded.first_error) == (0, 1, f"marks: 1 instead of {marks}")


def test_a_stream_without_its_end_mark_is_an_error(kit: Kit, tmp_path: Path) -> None:
    loaded = play(kit, tmp_path, chunked(b"[DONE] @@0000000000000 and more text, without an end", 99), 1)
    assert (loaded.answers, loaded.errors) == (0, 1)
    assert "no [DONE]" in loaded.first_error


def test_an_answer_that_does_not_exist_is_an_error(kit: Kit, tmp_path: Path) -> None:
    request = tmp_path / "request"
    request.write_bytes(request_of("burst.none.9.0"))
    command = kit.command("load", str(kit.port), request, "1", "streams", "2", "0", "5")
    loaded = Loaded.of(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=20).stdout))
    assert (loaded.answers, loaded.errors) == (0, 2)
    assert "404" in loaded.first_error


def test_an_answer_that_does_not_end_is_an_error_in_time(kit: Kit) -> None:
    loaded = kit.streams(kit.port, "paced.reasoning_content.20.1000", 2, 0, 0.1)
    assert (loaded.answers, loaded.errors) == (0, 2)
    assert "not answered in time" in loaded.first_error


def test_percentiles_are_exact(kit: Kit, tmp_path: Path) -> None:
    now = time.monotonic_ns() // 1000
    stamps = b" ".join(b"@@%013d" % (now - 1000 * number) for number in range(200))
    loaded = play(kit, tmp_path, [HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(stamps) + 9, stamps + b"\n [DONE]\n")], 200)
    delay = loaded.delay
    assert delay.timed == 200
    assert [round(delay.max - value) for value in (delay.p50, delay.p90, delay.p99)] == [99, 19, 1]


def test_percentiles_of_few_values_and_of_none() -> None:
    assert percentiles([3, 1, 2]) == {"count": 3, "p50": 2, "p90": 3, "p99": 3, "max": 3}
    assert percentiles([]) == {"count": 0}


def test_a_client_that_leaves_is_seen_by_the_upstream(kit: Kit) -> None:
    before = kit.stats()["left"]
    assert probe.leave(kit, kit.port, "paced.reasoning_content.100.20", {}) < probe.LEFT_WITHIN_S * 1000
    assert kit.stats()["left"] == before + 1


def test_a_slow_reader_still_gets_everything(kit: Kit) -> None:
    probe.SlowReader(kit, kit.port, "burst.reasoning_content.30000.0", {}).read()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_check_accepts_what_the_upstream_sends_and_only_in_its_own_field(
    kit: Kit, shape: str, dialect: str
) -> None:
    model = f"{shape}.{dialect}.40.{1 if shape == 'paced' else 0}"
    kit.prepare(model)
    if dialect == "reasoning":
        with pytest.raises(WrongAnswerError):
            probe.check(kit.port, model, BARE, {})
    else:
        probe.check(kit.port, model, NGINX, {})
    if dialect == "think_tags":
        with pytest.raises(WrongAnswerError):
            probe.check(kit.port, model, OURS, {})


def body_of(model: str) -> bytes:
    """The body of a prepared answer, without its HTTP framing."""
    head, _, body = b"".join(answer(model).pieces).partition(b"\r\n\r\n")
    return b"".join(body.split(b"\r\n")[1::2]) if b"chunked" in head else body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"the @@", b"The @@"),
        (b'" number', b'"'),
        (b"data: [DONE]\n\n", b""),
        (b'"finish_reason":"stop"', b'"finish_reason":null'),
        (b'"choices":[{', b'"choices":[{]'),
    ],
)
def test_a_stream_that_was_changed_is_noticed(old: bytes, new: bytes) -> None:
    body = body_of("burst.reasoning_content.40.0")
    answer("burst.reasoning_content.40.0").check(body, parts_tags=True)
    assert old in body
    with pytest.raises(WrongAnswerError):
        answer("burst.reasoning_content.40.0").check(body.replace(old, new, 1), parts_tags=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"number", b"Number"), (b'"stop"', b'"length"'), (b'"total_tokens":130', b'"total_tokens":131'), (b"}", b"")],
)
def test_a_whole_answer_that_was_changed_is_noticed(old: bytes, new: bytes) -> None:
    body = body_of("whole.reasoning_content.0.0")
    answer("whole.reasoning_content.0.0").check(body, parts_tags=True)
    assert old in body
    with pytest.raises(WrongAnswerError):
        answer("whole.reasoning_content.0.0").check(body.replace(old, new, 1), parts_tags=True)


_CHILD = "b = bytearray(60_000_000)\nimport time\nwhile time.process_time() < 0.15: pass\nprint(1, flush=True)\ninput()"
_PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_CHILD!r}])\nprint(2, flush=True)\ninput()"


def test_cpu_time_and_memory_are_those_of_the_whole_tree() -> None:
    command = [sys.executable, "-S", "-c", _PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        assert parent.stdout.readline() == "1\n"
        assert len(processes.tree(parent.pid)) == 2
        assert processes.cpu_s(parent.pid) >= 0.14
        assert processes.rss_mb(parent.pid) > 60
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "2\n"
        assert processes.cpu_s(parent.pid) >= 0.14  # a child that has ended still counts, its memory does not
        assert processes.rss_mb(parent.pid) < 60
        parent.stdin.write("\n")


@pytest.mark.parametrize("limit", [0, 1, 5, 15, 16, 17, 100, 777, 4096, 9999])
def test_the_search_ends_just_below_the_limit(limit: int) -> None:
    asked: list[int] = []

    def holds(count: int) -> bool:
        asked.append(count)
        return count <= limit

    found = doubled_then_halved(holds, 16, 4096)
    assert found <= limit
    assert min(limit, 4096) - found <= max(1, found / 12)
    assert len(asked) <= 16 and len(set(asked)) == len(asked)


def test_goals_are_judged_by_their_own_direction() -> None:
    found = taken("whole.reasoning_content", ours=100, bare=1100, nginx=9, **{"bare-httpx": 2200})
    found.add("streams", "ours", {"streams": 500})
    for peer, first in (("direct", 0.1), ("ours", 0.4), ("nginx", 0.2)):
        found.add("first", peer, {"first_p50_ms": first})
    rows = {(figure, kind, bound): (said, met) for figure, kind, bound, said, met in goals.rows(found)}
    assert rows["CPU per whole request", "must", "<= 10x nginx"] == ("11.1x", "no")
    assert rows["CPU per whole request", "must", "<= 1/10 bare-httpx"] == ("1/22.0", "yes")
    assert rows["CPU per whole request", "goal", "<= 1/10 bare"] == ("1/11.0", "yes")
    assert rows["CPU per whole request", "must", "<= 1/50 litellm"] == ("-", "-")
    assert rows["most 20 ms streams on one worker", "must", ">= 450"] == ("500", "yes")
    assert rows["most 20 ms streams on one worker", "goal", ">= 600"] == ("500", "no")
    assert rows["added time to first text, one connection", "must", "p50 <= 0.4 ms"] == ("0.30 ms", "yes")
    assert rows["added time to first text, one connection", "goal", "p50 <= 2x nginx"] == ("3.00x", "no")


def test_the_table_has_median_and_range_of_each_peer() -> None:
    cell = next(cell for cell in cpu_cells() if cell.name == "whole.reasoning_content")
    found = taken(cell.name, ours=10, bare=1000)
    found.add(cell.name, "ours", {"cpu_us": 12})
    found.add(cell.name, "ours", {"cpu_us": 40})
    found.add("alone", "ours", {"instructions": 1_234_567.8})
    assert " 1,234,568" in text(found, [cell])
    assert "12.0 (10.0-40.0)" in text(found, [cell])
    assert " 1,000" in text(found, [cell])


def test_plots_are_well_formed_and_name_every_peer() -> None:
    found = Results("c")
    for number, peer in enumerate(("ours", "<nginx>", "bare")):
        found.add_points("streams", peer, [(64, 0.5 + number, 2), (128, 1, 3), (256, 400, 3), (512, 0, 0)])
        found.add_points("open", peer, [(0, 30), (450, 40 * (1 + number)), (1000, 41), (200, 300)])
        found.add_points("open", peer, [(0, 31), (990, 50), (500, 45), (0, 44)])
    for _, plot in plots.PLOTS.values():
        root = ElementTree.fromstring(plot(found).svg())
        names = [element.text for element in root.iter() if "name" in element.attrib.get("class", "").split()]
        assert names == ["ours", "<nginx>", "bare"]
        for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(circle.attrib["cx"]) <= plots.WIDTH and 0 <= float(circle.attrib["cy"]) <= plots.HEIGHT
    assert plots.memory(found).lines["ours"] == [(0, 44, True), (500, 40, True), (1000, 50, True)]
    assert [good for _, _, good in plots.delays(found).lines["ours"]] == [True, True, False]


def test_names_beside_a_plot_do_not_lie_on_each_other() -> None:
    placed = plots.apart({"a": 100, "b": 101, "c": 5, "d": 299, "e": 300}, 16, 0, 300)
    assert sorted(placed, key=placed.__getitem__) == ["c", "a", "b", "d", "e"]
    places = sorted(placed.values())
    assert all(later - earlier >= 16 for earlier, later in itertools.pairwise(places))
    assert places[0] >= 0 and places[-1] <= 300


def test_no_two_cells_have_one_name() -> None:
    names = [cell.name for cell in [*cpu_cells(), *extent_cells()]]
    assert len(set(names)) == len(names)


def test_the_page_keeps_its_words_and_gets_the_figures(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    made = taken("whole.reasoning_content", ours=10, bare=1000)
    made.add_points("open", "ours", [(0, 30), (1000, 50)])
    made.other.append(0.5)
    made.write(written)
    path = tmp_path / "benchmarks.md"
    path.write_text(f"before\n{page.BEGIN}\nold figures\n{page.END}\nafter\n", encoding="utf-8")
    for _ in range(2):  # writing it again changes nothing
        page.write(Results.read(written), cpu_cells(), path)
        words = path.read_text(encoding="utf-8")
        assert words.startswith("before\n") and words.endswith("after\n") and "old figures" not in words
        assert words.count("| `whole.reasoning_content` (request) | 10.0 | 1,000 |") == 1
        assert words.count("![memory](benchmarks/memory.svg)") == 1 and "delay.svg" not in words
        assert "| CPU per whole request | goal | <= 1/10 bare | 1/100 | yes |" in words
    assert (tmp_path / "benchmarks" / "memory.svg").is_file()


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"before\n{page.BEGIN}\nno end\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="not both marks"):
        page.write(Results("c"), cpu_cells(), path)
    assert path.read_text(encoding="utf-8") == f"before\n{page.BEGIN}\nno end\n"


def test_versions_of_installed_peers_are_read_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "FOLDER", tmp_path)
    (tmp_path / "vllm-router/lib/python3.11/site-packages/vllm_router-0.1.17.dist-info").mkdir(parents=True)
    (tmp_path / "bare-httpx/lib/python3.11/site-packages/httpx-0.28.1.dist-info").mkdir(parents=True)
    (tmp_path / "bare-httpx/lib/python3.11/site-packages/uvloop-0.23.0.dist-info").mkdir()
    package = tmp_path / "portkey/node_modules/@portkey-ai/gateway/package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "1.15.2"}', encoding="utf-8")
    found = install.installed()
    found.pop("nginx", None)
    assert found == {"vllm-router": "0.1.17", "portkey": "1.15.2", "bare-httpx": "0.28.1"}


def test_every_peer_that_is_installed_is_one_that_is_measured() -> None:
    measured = {peer.name for peer in PEERS}
    assert set(install.PINNED) <= measured
    assert {OURS.name, BARE.name, NGINX.name} == measured - set(install.PINNED)


def test_a_peer_is_told_everything_it_has_to_know(tmp_path: Path) -> None:
    site = Site(4711, "http://127.0.0.1:4712/v1", tmp_path, 1, ("burst.reasoning_content.9.0",))
    for peer in PEERS:
        written = set(tmp_path.iterdir())
        command = " ".join(peer.command(site))
        new = "".join(path.read_text(encoding="utf-8") for path in set(tmp_path.iterdir()) - written)
        headers = "".join(peer.headers(site.upstream).values())
        assert "4711" in command + new, peer.name
        assert "4712" in command + new + headers, peer.name
