"""The evidence page in a real browser: it lays everything out inside the window, and logs nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.evidence import (
    evidence_page,
)

from ...unit.model.rollout.page.test_evidence import WHOLE
from ..browser import Page, opened

# What a person would see, written into the title: the DOM alone says nothing of places.
LOOK = """
const seen = {wide: document.documentElement.scrollWidth, window: window.innerWidth, charts: [], clipped: []};
for (const chart of document.querySelectorAll('svg')) {
  const box = chart.getBoundingClientRect();
  chart.focus();
  const focused = document.activeElement === chart;
  seen.charts.push({left: box.left, right: box.right, height: box.height, focused});
  for (const text of chart.querySelectorAll('text')) {
    const place = text.getBoundingClientRect();
    if (place.left < box.left - 1 || place.right > box.right + 1 || place.bottom > box.bottom + 1)
      seen.clipped.push(text.textContent);
  }
}
seen.folded = [...document.querySelectorAll('details')].map(part => {
  const before = part.getBoundingClientRect().height; part.open = true;
  return part.getBoundingClientRect().height > before;
});
document.title = JSON.stringify(seen);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    file = tmp_path_factory.mktemp("page") / "evidence.html"
    file.write_text(evidence_page(WHOLE), encoding="utf-8")
    return opened(file, LOOK)


def test_it_logs_nothing(page: Page) -> None:
    assert page.console == []


def test_it_is_laid_out_inside_the_window(page: Page) -> None:
    seen = json.loads(page.title.replace("&quot;", '"').replace("&amp;", "&"))
    assert seen["wide"] <= seen["window"] == 1280
    assert seen["clipped"] == []
    assert len(seen["charts"]) == 5
    assert len({(chart["left"], chart["right"]) for chart in seen["charts"]}) == 1
    assert all(chart["height"] > 100 and chart["focused"] for chart in seen["charts"])
    assert len(seen["folded"]) >= 6
    assert all(seen["folded"])


def test_the_browser_reads_it_as_it_was_written(page: Page) -> None:
    """A tag that is not closed would be closed by the browser, elsewhere."""
    written = evidence_page(WHOLE)
    for tag in (
        "section",
        "table",
        "tr",
        "td",
        "details",
        "figure",
        "svg",
        "rect",
        "path",
        "text",
        "ins",
        "del",
    ):
        assert len(re.findall(rf"<{tag}[ >]", page.dom)) == len(re.findall(rf"<{tag}[ >/]", written)), tag


def test_a_small_window_scrolls_only_tables(tmp_path: Path) -> None:
    file = tmp_path / "evidence.html"
    file.write_text(evidence_page(WHOLE).replace("<main>", '<main style="width:600px">'), encoding="utf-8")
    seen = json.loads(opened(file, LOOK).title.replace("&quot;", '"').replace("&amp;", "&"))
    assert seen["clipped"] == []
