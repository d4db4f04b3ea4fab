"""The page in a browser: 8 and 200 services, at 1280 pixels, with its graph, a filter, and in print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.page import as_html

from ...unit.model.observe.telemetry import shop
from ..browser import opened, printed

# What a person would see: nothing outside of the picture, no name outside of its box, a filter that filters.
LOOK = """
const seen=()=>[...document.querySelectorAll('tr[data-text]')].filter(row=>!row.hidden).length;
const before=seen(), graph=document.getElementById('graph').getBoundingClientRect();
const frame=[graph.left,graph.right,graph.top,graph.bottom];
const boxes=[...document.querySelectorAll('#graph .node')].map(node=>node.getBoundingClientRect());
const out=boxes.filter(box=>
  box.left<frame[0]||box.right>frame[1]||box.top<frame[2]||box.bottom>frame[3]);
const end=part=>part.getBBox().x+part.getBBox().width;
const texts=[...document.querySelectorAll('#graph .node')].filter(node=>
  [...node.querySelectorAll('text')].some(text=>end(text)>end(node.querySelector('rect'))));
const field=document.getElementById('filter');
field.value='service-5 uf';field.dispatchEvent(new Event('input'));
document.title=[document.documentElement.scrollWidth,innerWidth,before,seen(),boxes.length,out.length,
  texts.length].join(' ');
"""


@pytest.mark.parametrize("number", [8, 200])
def test_the_page_fits_filters_and_prints(tmp_path: Path, number: int) -> None:
    file = tmp_path / "mesh.html"
    file.write_text(as_html(shop(number)), encoding="utf-8")
    page = opened(file, LOOK)
    assert page.console == []
    width, window, before, after, boxes, outside, too_long = map(int, page.title.split())
    assert width <= window == 1280, "the page is wider than the window"
    assert boxes == number
    assert outside == 0, "a box lies outside of the picture"
    assert too_long == 0, "a name runs out of its box"
    assert 0 < after < before
    paper = printed(file)
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 1
