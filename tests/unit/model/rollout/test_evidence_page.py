"""The page of a rollout's evidence: every part of it, and nothing that a browser would take for markup."""

# ruff: noqa: E501 - one row per proof

from __future__ import annotations

import html.parser
import re
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.evidence_page import (
    evidence_page,
)

WHOLE: dict[str, Any] = {
    "outcome": "promoted",
    "reason": "all gates passed <b>",
    "sha256": "abc123",
    "totals": {"canary_failed": 3, "requests": 1200, "hurt_share": 0.0025},
    "timeline": [{"at": "2026-01-01T00:00:00Z", "event": "begun & on"}],
    "evidence": {
        "run": "run-7",
        "service": "shop/api",
        "namespace": "shop",
        "cluster": None,
        "stable": "v1",
        "canary": "v2",
        "selectors": {"b": "q2 < 1", "a": "q1"},
        "proofs": [
            {"at": "2026-01-01T00:00:00Z", "weights": {"v1": 90, "v2": 10}, "status": "proved", "proxies": 4, "seconds": 1.5, "detail": "d"},
            {"at": "2026-01-01T00:01:40Z", "weights": {"v2": 100}, "status": "proved", "proxies": 4, "seconds": 2, "detail": ""},
        ],
        "windows": [
            {"end": "2026-01-01T00:00:50Z", "counts": {"errors": [100, 1, 900, 0]}},
            {"end": "2026-01-01T00:01:40Z", "counts": {"errors": [0, 0, 100, 50]}},
            {"end": "2026-01-01T00:01:00Z", "counts": {}},
        ],
        "verdicts": [
            {
                "gate": "errors",
                "verdict": "pass",
                "reason": "1 of 100",
                "figures": {
                    "canary_bad": 1,
                    "canary_total": 100,
                    "canary_interval": [0.001, 0.05],
                    "stable_bad": 0,
                    "stable_total": 900,
                    "stable_interval": [0.0, 0.004],
                },
            },
            {"gate": "queue", "verdict": "pass", "reason": "5 is inside [-inf, 10]"},
        ],
    },
}  # fmt: skip


class Text(html.parser.HTMLParser):
    """The words of the page between tags, and the tags in order."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def read(whole: dict[str, Any]) -> Text:
    text = Text()
    text.feed(evidence_page(whole))
    return text


def drawn(text: Text, tag: str, key: str) -> list[str | None]:
    return [attrs.get(key) for name, attrs in text.tags if name == tag]


def test_every_part_of_the_evidence_is_on_the_page() -> None:
    words = read(WHOLE).words
    assert words[0] == "shop/api: v1 to v2"
    assert words[2:] == [
        "shop/api: v1 to v2",
        "promoted",
        ": all gates passed <b>",
        "Run run-7, namespace shop, cluster . Hurt by the canary: 3 of 1200 requests (0.250%). Evidence SHA-256",
        "abc123",
        ".",
        "Weight of the canary",
        "100 %",
        "0",
        "100 s",
        "canary",
        "Failed requests per window",
        "55 %",
        "0",
        "50 s",
        "canary",
        "stable",
        "Verdicts",
        *["gate", "verdict", "reason", "canary", "interval", "stable", "interval"],
        *["errors", "pass", "1 of 100", "1/100", "0.100% to 5.000%", "0/900", "0.000% to 0.400%"],
        *["queue", "pass", "5 is inside [-inf, 10]", "/", "/"],
        "Proof at the proxies",
        *["time", "weights", "verdict", "proxies", "seconds", "detail"],
        *["2026-01-01T00:00:00Z", "v1 90, v2 10", "proved", "4", "1.5", "d"],
        *["2026-01-01T00:01:40Z", "v2 100", "proved", "4", "2"],
        "Timeline",
        *["time", "event", "2026-01-01T00:00:00Z", "begun & on"],
        "Queries",
        "a: q1",
        "b: q2 < 1",
    ]


def test_numbers_stand_to_the_right() -> None:
    cells = [attrs for name, attrs in read(WHOLE).tags if name == "td"]
    assert sum(attrs.get("class") == "n" for attrs in cells) == 4  # proxies and seconds of two proofs


def test_the_curves_are_steps_of_weight_and_shares_of_failures() -> None:
    text = read(WHOLE)
    # 900 x 200 with a margin of 34: x from 34 to 866, y from 166 (nothing) to 34 (the top).
    assert drawn(text, "polyline", "points") == [
        "34.0,152.8 866.0,152.8 866.0,34.0",
        "34.0,163.6",
        "34.0,166.0 866.0,46.0",
    ]
    assert drawn(text, "polyline", "stroke") == ["#bf5af2", "#bf5af2", "#0a66c2"]
    circles = zip(drawn(text, "circle", "cx"), drawn(text, "circle", "fill"), strict=True)
    assert list(circles) == [
        ("34.0", "#bf5af2"),
        ("866.0", "#bf5af2"),
        ("866.0", "#bf5af2"),
        ("34.0", "#bf5af2"),
        ("34.0", "#0a66c2"),
        ("866.0", "#0a66c2"),
    ]
    assert drawn(text, "text", "x") == ["2", "2", "798", "34", "2", "2", "798", "34", "124"]
    assert drawn(text, "text", "y") == ["38", "170", "192", "16", "38", "170", "192", "16", "16"]
    assert drawn(text, "path", "d") == ["M34 34V166H866"] * 2
    assert drawn(text, "svg", "viewbox") == ["0 0 900 200"] * 2


def with_evidence(**changes: Any) -> dict[str, Any]:
    return {**WHOLE, "evidence": {**WHOLE["evidence"], **changes}}


def test_slow_requests_have_a_chart_where_latency_was_judged() -> None:
    windows = [{"end": "2026-01-01T00:00:50Z", "counts": {"latency": [10, 5, 10, 0]}}]
    words = read(with_evidence(windows=windows)).words
    after = words[words.index("Failed requests per window") :]
    assert after[:6] == ["Failed requests per window", "Nothing was measured.", "Slow requests per window", "55 %", "0", "0 s"]  # fmt: skip
    assert "Slow requests per window" not in read(WHOLE).words


def test_a_chart_of_few_failures_keeps_a_scale_of_one_percent() -> None:
    windows = [{"end": "2026-01-01T00:00:50Z", "counts": {"errors": [1000, 1, 0, 0]}}]
    assert "1 %" in read(with_evidence(windows=windows)).words


def test_a_chart_of_less_than_a_second_is_as_wide_as_any() -> None:
    windows = [
        {"end": f"2026-01-01T00:00:50.{part}Z", "counts": {"latency": [10, 5, 0, 0]}} for part in ("00", "50")
    ]
    ends = [
        str(points).split()[-1].split(",")[0]
        for points in drawn(read(with_evidence(windows=windows)), "polyline", "points")
        if points
    ]
    assert "866.0" in ends


def test_a_run_without_evidence_has_a_page_as_well() -> None:
    whole = {**WHOLE, "evidence": {"canary": "v2"}, "outcome": "rolled back", "timeline": []}
    words = read(whole).words
    assert words.count("Nothing was measured.") == 2
    assert words[0] == ":  to v2"


def test_the_outcome_is_green_or_red() -> None:
    colours = {
        outcome: drawn(read({**WHOLE, "outcome": outcome}), "p", "class")[0]
        for outcome in ("promoted", "split", "rolled back", "held")
    }
    assert colours == {"promoted": "pass", "split": "pass", "rolled back": "fail", "held": "fail"}


def test_the_page_needs_no_network_and_no_script() -> None:
    page = evidence_page(WHOLE)
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", page)
    assert page.startswith(
        "<!doctype html><html lang=en><meta charset=utf-8><title>shop/api: v1 to v2</title>"
    )
    assert page.endswith("</html>")
