"""The page of a rollout's evidence: every part of it, one time axis, nothing that a browser takes for markup."""

# ruff: noqa: E501 - one row per piece of evidence

from __future__ import annotations

import copy
import html.parser
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.charts import (
    LEFT,
    RIGHT,
    WIDTH,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.evidence import (
    evidence_page,
)

from ....support.pages import by_lines


def at(second: int) -> str:
    return f"2026-01-01T10:{second // 60:02}:{second % 60:02}.123456Z"


def window(phase: int, begin: int, end: int, counts: list[int], **more: Any) -> dict[str, Any]:
    return {
        "phase": phase,
        "begin": at(begin),
        "end": at(end),
        "weight": 10,
        "counts": {"errors": counts},
        **more,
    }


FIGURES = {
    "canary_bad": 52, "canary_total": 362, "canary_interval": [0.081, 0.226], "stable_bad": 0,
    "stable_total": 1178, "stable_interval": [0.0, 0.007], "stop_at": 5.3, "harm_evidence": 12.5,
    "worse_than_stable_evidence": -2.0, "health_evidence": 1.5, "promote_at": 3.0,
}  # fmt: skip
VERDICTS = [
    {"gate": "errors", "verdict": "fail", "reason": "52 of 362 <failed>", "figures": FIGURES},
    {"gate": "queue", "verdict": "not enough data", "reason": "not asked yet", "figures": {}},
]
WHOLE: dict[str, Any] = {
    "outcome": "rolled_back",
    "reason": "errors: 52 of 362 canary requests failed <b>",
    "sha256": "abc123",
    "totals": {"canary_requests": 362, "canary_failed": 52, "canary_slow": 4, "requests": 12000, "hurt_share": 0.0043},
    "api_calls": {"1": 42},
    "timeline": [
        {"at": at(0), "event": "run begins & on", "phase": 0},
        {"at": at(1), "event": "phase 1/weight 10 %: intent", "phase": 1},
        {"at": at(60), "event": "phase 1/weight 10 %: pass", "phase": 1, "seconds": 59},
        {"at": at(61), "event": "phase 2/weight 50 %: intent", "phase": 2},
        {"at": at(90), "event": "rollback: errors", "phase": 2},
        {"at": at(100), "event": "end: rolled_back", "phase": 2},
    ],
    "evidence": {
        "run": "run-7", "service": "api", "namespace": "shop", "cluster": "", "stable": "v1", "canary": "v2",
        "by": "ann <admin>", "runner": "host-1",
        "plan": {"phases": [
            {"number": 1, "kind": "weight", "canary": 10},
            {"number": 2, "kind": "weight", "canary": 50},
            {"number": 3, "kind": "weight", "canary": 100},
        ]},
        "policy": {"alpha": 0.01, "power": 0.95, "mode": "sequential"},
        "gates": [{"name": "errors", "acceptable": 0.005, "limit": 0.05, "odds_ratio": 3.0, "compare": True, "absolute": True, "burst": 1.0}],
        "queries": [{"name": "queue", "query": "max(q) < 1", "minimum": None, "maximum": 100.0, "failures": 2}],
        "selectors": {"b": "q2 < 1", "a": "q1"},
        "inputs": {"steps": [10, 50, 100], "duration": 60},
        "baseline": {"rate": 100.0, "shares": {"errors": 0.0}},
        "proofs": [
            {"at": at(2), "weights": {"v1": 90, "v2": 10}, "status": "pass", "proxies": 4, "seconds": 1.5, "detail": "d & e"},
            {"at": at(62), "weights": {"v1": 50, "v2": 50}, "status": "pass", "proxies": 4, "seconds": 2, "detail": ""},
            {"at": at(92), "weights": {"v1": 100, "v2": 0}, "status": "pass", "proxies": 4, "seconds": 2, "detail": ""},
        ],
        "windows": [
            window(1, 2, 30, [100, 1, 900, 0], latency={"canary": {"p50": 12.0, "p99": 80.0}, "stable": {"p50": 11.0, "p99": 70.0}}, values={"queue": 3.0}),
            window(1, 30, 60, [100, 0, 900, 0], values={"queue": None}),
            window(1, 62, 90, [162, 51, 200, 0], values={"queue": 7.0}),
        ],
        "discarded": [window(1, 1, 2, [5, 5, 5, 5])],
        "verdicts": VERDICTS,
        "by_phase": {"1": [{**VERDICTS[0], "verdict": "pass"}], "2": VERDICTS},
        "answers": [{"gate": "smoke", "when": "pre-rollout", "phase": 1, "attempt": 0, "verdict": "pass", "reason": "HTTP 200", "at": at(1), "seconds": 0.5}],
        "diffs": [{"before": "a: 1\nb: <2>\n", "after": "a: 1\nb: 3\n", "before_header": "x", "after_header": "routes: phase 1"}],
    },
}  # fmt: skip


# A run of hours with everything that the other one lacks.
PAUSED: dict[str, Any] = {
    "outcome": "paused",
    "reason": "smoke does not answer",
    "sha256": "def456",
    "totals": {"requests": 100, "canary_requests": 7},
    "api_calls": {"1": 42, "2": 7},
    "timeline": [
        {"at": "2026-01-01T10:00:00Z", "event": "begin", "phase": 0},
        {"at": "2026-01-01T10:10:00Z", "event": "phase 1/header: intent", "phase": 1},
        {"at": "2026-01-01T10:30:00Z", "event": "start over: gates were changed", "phase": 1},
        {"at": "2026-01-01T10:31:00Z", "event": "phase 1/header: intent", "phase": 1},
        {"at": "2026-01-01T10:40:00Z", "event": "taken over by host-2", "phase": 1},
        {"at": "2026-01-01T10:41:00Z", "event": "taken over by host-3", "phase": 1},
        {"at": "2026-01-01T11:00:00Z", "event": "phase 2/mirror: intent", "phase": 2},
        {"at": "2026-01-01T11:30:00Z", "event": "phase 3 awaits approval", "phase": 2},
        {"at": "2026-01-01T12:00:00Z", "event": "phase 3/weight 10 %: intent", "phase": 3},
        {"at": "2026-01-01T12:30:00Z", "event": "promotion: intent", "phase": 3},
        {"at": "2026-01-01T13:00:00Z", "event": "held: stable is sick", "phase": 3},
        {"at": "2026-01-01T13:10:00Z", "event": "phase 9/weight 90 %: intent", "phase": 9},
        {"at": "", "event": "nowhere in time", "phase": 3},
        {"at": "2026-01-01T13:40:00Z", "event": "paused", "phase": 3},
    ],
    "evidence": {
        "run": "run-8", "service": "web", "namespace": "shop", "cluster": "prod", "stable": "v1", "canary": "v2",
        "plan": {"phases": [
            {"number": 1, "kind": "header", "canary": 0},
            {"number": 2, "kind": "mirror", "canary": 20},
            {"number": 3, "kind": "weight", "canary": 10},
            {"number": 4, "kind": "weight", "canary": 100},
        ]},
        "policy": {"mode": "fixed"},
        "gates": [
            {"name": "errors", "acceptable": 0.005, "limit": 0.05, "odds_ratio": 3.0, "compare": False},
            {"name": "latency", "acceptable": 0.1, "limit": 0.2, "odds_ratio": 2.5, "compare": True, "absolute": False},
        ],
        "queries": [
            {"name": "low", "query": "a", "minimum": 2.0, "maximum": None, "failures": 1},
            {"name": "both", "query": "b", "minimum": -1.0, "maximum": 5.5, "failures": 3},
            {"name": "silent", "query": "c", "minimum": 0.0, "maximum": None, "failures": 1},
        ],
        "inputs": {"steps": [10, 100], "nothing": None, "deep": {"a": 1, "b": [1, 2]}},
        "proofs": [
            {"at": "2026-01-01T11:00:10Z", "weights": {"v1": 100, "v2": 0}, "status": "fail", "proxies": 1234, "seconds": None, "detail": None},
            {"at": "2026-01-01T12:00:10Z", "weights": {"v1": 90, "v2": 10}, "status": "not known", "proxies": None, "seconds": 3.25, "detail": "late"},
        ],
        "windows": [
            {"phase": 2, "begin": "2026-01-01T11:00:20Z", "end": "2026-01-01T11:20:20Z", "weight": 0,
             "counts": {"errors": [0, 0, 600, 3], "latency": [0, 0, 600, 30]},
             "latency": {"canary": None, "stable": {"p50": 10.0, "p99": 20.0}}, "values": {"low": 1.0, "both": 4.0}},
            {"phase": 3, "begin": "2026-01-01T12:00:20Z", "end": "2026-01-01T12:20:20Z", "weight": 10,
             "counts": {"errors": [60, 2, 540, 0], "latency": [60, 12, 540, 27]},
             "latency": {"canary": {"p50": 14.0, "p99": 55.0}, "stable": {"p50": 10.5, "p99": None}}, "values": None},
            {"phase": 3, "begin": "2026-01-01T12:20:20Z", "end": "2026-01-01T12:20:20Z", "weight": 10,
             "counts": {"errors": [60, 1, 540, 2]}, "values": {"low": 3.5, "both": -2.0}},
            {"phase": 3, "begin": "2026-01-01T12:20:20Z", "end": "2026-01-01T12:25:20Z", "weight": 10, "counts": {}},
        ],
        "after": {"phase": 3, "begin": "2026-01-01T13:00:00Z", "end": "2026-01-01T13:20:00Z", "counts": {}},
        "verdicts": [
            {"gate": "latency", "verdict": "pass", "reason": "fast", "figures": {"harm_evidence": -1.0, "stop_at": 4.0,
             "worse_than_stable_evidence": 9.0, "health_evidence": None}},
            {"gate": "share", "verdict": "pass", "reason": "9 of 10", "figures": {"health_evidence": 1.0, "promote_at": 0.0}},
            {"gate": "low", "verdict": "fail", "reason": "1 < 2", "figures": {"canary_interval": [0.0, 1.0],
             "canary_total": 0, "stable_interval": [0.1, 0.2], "stable_total": 12000, "stable_bad": 1500}},
            {"gate": "both", "verdict": "pass", "reason": "4", "figures": {"canary_interval": [0.0, 1.0]}},
            {"gate": "errors", "verdict": "not enough data", "reason": "60 of 300", "figures": {}},
            {"gate": "own", "verdict": "pass", "reason": "?", "figures": {}},
        ],
        "by_phase": {"3": [{"gate": "errors", "verdict": "pass", "reason": "fine"}]},
        "answers": [
            {"gate": "smoke", "when": "pre-rollout", "phase": 1, "verdict": "pass", "reason": "HTTP 200", "at": "2026-01-01T10:00:05Z", "seconds": 300},
            {"gate": "smoke", "when": "each phase", "phase": 3, "verdict": "no answer", "reason": "HTTP 503", "at": "soon", "seconds": None},
        ],
        "diffs": [{"before": "a: 1\n", "after": "a: 1\n", "after_header": "the same"}, {"after": "a: 1\n", "after_header": "new"}],
    },
}  # fmt: skip


class Tree(html.parser.HTMLParser):
    """The words between tags, and the tags with what they are in."""

    VOID = frozenset({"meta", "circle", "path", "rect", "polyline", "polygon"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs), [*self.open]))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs), [*self.open]))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs, _inside in self.tags if name == tag]


def read(whole: dict[str, Any]) -> Tree:
    return Tree(evidence_page(whole))


def changed(**changes: Any) -> dict[str, Any]:
    return {**WHOLE, "evidence": {**WHOLE["evidence"], **changes}}


@pytest.mark.parametrize(("name", "whole"), [("rolled_back", WHOLE), ("paused", PAUSED)])
def test_a_page_word_for_word(name: str, whole: dict[str, Any]) -> None:
    """The pages in ``pages`` were written and read by people; a change that is meant is read there again."""
    expected = (Path(__file__).parent / "pages" / f"{name}.html").read_text(encoding="utf-8")
    assert by_lines(evidence_page(whole)) == expected


def test_every_tag_is_closed_and_every_id_is_unique() -> None:
    tree = read(WHOLE)
    assert (tree.faults, tree.open) == ([], [])
    ids = [attrs["id"] for _tag, attrs, _inside in tree.tags if "id" in attrs]
    assert len(ids) == len(set(ids)) > 10


@pytest.mark.parametrize(
    "words",
    [
        "api: v1 to v2", "rolled back", "errors: 52 of 362 canary requests failed <b>", "not known", "run-7",
        "ann <admin>", "host-1", "2026-01-01 10:00:00 to 10:01:40 UTC, 100 s", "12\u202f000", "362", "52", "4",
        "0.43 %", "52 of 362 <failed>", "12.50 of 5.30", "0.00 of 5.30", "1.50 of 3.00", "52 of 362",
        "8.1 % to 22.6 %", "HTTP 200", "pre-rollout", "d & e", "run begins & on", "abc123", "a: q1",
        "queue: max(q) < 1", "-b: <2>", "+b: 3", "routes: phase 1", "10, 50, 100", "errors: 0.0", "not reached",
        "acceptable 0.5 %", "limit 5 %", "max 100", "1 \u00b7 10 %", "2 \u00b7 50 %",
    ],
)  # fmt: skip
def test_what_is_on_the_page(words: str) -> None:
    assert words in read(WHOLE).words


def test_what_decided_comes_first_and_then_what_failed() -> None:
    words = read({**WHOLE, "reason": "the stable version is down"}).words
    at_decided = words.index("What decided:")
    assert words[at_decided + 1] == "the stable version is down"
    passing = [{**VERDICTS[1], "gate": "b", "verdict": "pass"}, *VERDICTS]
    order = [word for word in read(changed(verdicts=passing)).words if word in ("b", "errors", "queue")]
    assert order[:3] == ["errors", "queue", "b"]


def test_names_at_the_edge_stand_apart_and_above_the_times() -> None:
    page = evidence_page(changed(windows=[window(1, n, n + 1, [10, 0, 90, 0]) for n in range(3)]))
    failed = re.findall(r"<figcaption>Failed requests</figcaption>.*?</svg>", page, re.DOTALL)[0]
    places = sorted(float(y) for y in re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', failed))
    assert len(places) == 4
    assert all(second - first >= 12.9 for first, second in itertools.pairwise(places))
    assert places[-1] <= 210 - 24 + 4


def test_the_criterion_is_a_sentence() -> None:
    words = read(WHOLE).words
    assert (
        "At most 0.5 % of the canary's requests may fail; from 5 % on it is sick; its odds must not be 3 times"
        " those of the stable version. A healthy version is stopped with a probability of 1 % at most, one at"
        " the limit promoted with 5 %."
    ) in words
    assert "The query must be at most 100; 2 violations in a row fail." in words


def test_every_chart_has_the_same_time_axis() -> None:
    page = evidence_page(WHOLE)
    charts = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(charts) == 5  # weight, failures, requests, latency, the query
    ticks = [re.findall(r'class="tick" x="([\d.]+)" y="[\d.]+"[^>]*>([\d:]+)<', chart) for chart in charts]
    assert ticks[0][0][1] == "10:00:15"
    assert all(tick == ticks[0] for tick in ticks)
    spans = [re.findall(r'<rect class="p\d" x="([\d.]+)" y="26" width="([\d.]+)"', chart) for chart in charts]
    assert len(spans[0]) == 2
    assert all(span == spans[0] for span in spans)
    left, width = map(float, spans[0][1])
    inner = WIDTH - LEFT - RIGHT
    assert (left, width) == (
        pytest.approx(LEFT + 0.61 * inner, abs=0.1),
        pytest.approx(0.29 * inner, abs=0.1),
    )
    assert all('class="m bad"' in chart for chart in charts)


def test_charts_are_reached_by_the_keyboard_and_described() -> None:
    tree = read(WHOLE)
    for chart in tree.all("svg"):
        assert (chart["role"], chart["tabindex"]) == ("img", "0")
        names = (chart["aria-labelledby"] or "").split()
        assert len(names) == 2
        ids = {attrs.get("id"): tag for tag, attrs, _inside in tree.tags}
        assert [ids[name] for name in names] == ["title", "desc"]
    assert "Failed requests in the run: canary 52 of 362; stable 0 of 2000. The band is the interval of the canary's true share." in tree.words  # fmt: skip


def test_a_look_counts_for_the_phase_in_whose_time_it_lies() -> None:
    """The gates count the first look of a phase for the one before; a reader wants to know when it was."""
    page = evidence_page(WHOLE)
    rows = re.findall(
        r"<tr><td>(\d)</td><td>\d+ %</td><td>[^<]*</td>((?:<td class=\"n\">[^<]*</td>){4})", page
    )
    found = {number: re.findall(r">([^<]*)</td>", cells) for number, cells in rows}
    assert found == {"1": ["200", "1", "1\u202f800", "0"], "2": ["162", "51", "200", "0"], "3": [""] * 4}


def test_the_band_narrows_around_the_share() -> None:
    page = evidence_page(
        changed(windows=[window(1, 10 * n, 10 * n + 10, [100, 0, 900, 0]) for n in range(5)])
    )
    points = re.findall(r'<polygon points="([^"]+)"', page)[0].split()
    upper = [float(point.split(",")[1]) for point in points[: len(points) // 2]]
    assert all(first <= second for first, second in itertools.pairwise(upper))
    assert upper[0] < upper[-1]


def test_a_window_without_requests_is_a_gap() -> None:
    windows = [
        window(1, 0, 10, [10, 0, 90, 0]),
        window(1, 10, 20, [0, 0, 90, 0]),
        window(1, 20, 30, [10, 0, 90, 0]),
    ]
    page = evidence_page(changed(windows=windows))
    failed = re.findall(r"<figcaption>Failed requests</figcaption>.*?</svg>", page, re.DOTALL)[0]
    assert failed.count("<polyline") == 1  # the stable version's; two single points are no line
    assert failed.count("<circle") == 5


def test_slow_requests_have_a_chart_where_latency_was_judged() -> None:
    slow = window(1, 0, 10, [10, 0, 90, 0])
    slow["counts"]["latency"] = [10, 5, 90, 0]
    assert "Slow requests" in read(changed(windows=[slow])).words
    assert "Slow requests" not in read(WHOLE).words


def test_without_an_absolute_limit_no_line_is_drawn() -> None:
    gates = [{**WHOLE["evidence"]["gates"][0], "absolute": False}]
    words = read(changed(gates=gates)).words
    assert "limit 5 %" not in words


def test_a_run_of_less_than_a_second_has_an_axis_of_one() -> None:
    windows = [
        {**window(1, 0, 0, [10, 5, 90, 5]), "end": f"2026-01-01T10:00:00.{part}Z"} for part in ("00", "50")
    ]
    whole = {**changed(windows=windows, proofs=[]), "timeline": []}
    failed = re.findall(
        r"<figcaption>Failed requests</figcaption>.*?</svg>", evidence_page(whole), re.DOTALL
    )[0]
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', failed)]
    assert places == [LEFT, pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=60)] * 2


def test_a_run_without_evidence_has_a_page_as_well() -> None:
    tree = read({**WHOLE, "evidence": {"canary": "v2"}, "timeline": [], "totals": {}, "api_calls": {}})
    assert (tree.faults, tree.open) == ([], [])
    assert "Failed requests: nothing was measured." in tree.words
    assert "No gate was judged." in tree.words


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("promoted", "good"),
        ("split", "good"),
        ("rolled_back", "bad"),
        ("held_at_split", "bad"),
        ("paused", "open"),
    ],
)
def test_the_outcome_has_a_colour_and_a_sign(outcome: str, kind: str) -> None:
    tree = read({**WHOLE, "outcome": outcome})
    assert [attrs["class"] for attrs in tree.all("p") if "outcome" in (attrs.get("class") or "")] == [
        f"outcome {kind}"
    ]
    assert outcome.replace("_", " ") in tree.words


def test_times_are_short_with_the_exact_one_behind() -> None:
    tree = read(WHOLE)
    exact = {attrs["datetime"]: attrs["title"] for attrs in tree.all("time")}
    assert exact[at(92)] == at(92)
    assert "10:01:32" in tree.words
    assert not [word for word in tree.words if "123456Z" in word]


def test_nothing_of_the_evidence_becomes_markup() -> None:
    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poisoned(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        known = isinstance(value, str) and not value.startswith(
            ("2026-", "phase ", "rollback", "end:", "weight", "errors", "queue")
        )
        return f"{value}\"><script>alert(1)</script>'" if known else value

    tree = read(poisoned(copy.deepcopy(WHOLE)))
    assert tree.all("script") == []
    assert (tree.faults, tree.open) == ([], [])


def test_a_broken_time_is_no_reason_to_fail() -> None:
    evidence = copy.deepcopy(WHOLE)
    evidence["evidence"]["windows"][0]["end"] = "soon"
    evidence["evidence"]["proofs"][0]["at"] = ""
    evidence["timeline"][0]["at"] = "x"
    assert read(evidence).faults == []


def test_a_long_run_has_few_ticks() -> None:
    for days in (1, 7, 30):
        evidence = copy.deepcopy(WHOLE)
        evidence["timeline"][-1]["at"] = f"2026-01-{days + 1:02}T10:00:00Z"
        page = evidence_page(evidence)
        first = re.findall(r"<svg .*?</svg>", page, re.DOTALL)[0]
        assert 3 <= first.count('class="tick"') <= 10


def test_the_page_needs_no_network_and_no_script() -> None:
    page = evidence_page(WHOLE)
    assert not re.search(r"<script|<link|src=|href=|url\(|@import|http", page)
    assert page.startswith('<!doctype html><html lang="en">')
    assert "@media print" in page
