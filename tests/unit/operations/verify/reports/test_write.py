"""Reports: what programs read, and the page for people."""

from __future__ import annotations

import html.parser
import json
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import findings as told
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports import (
    write as report,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.record import (
    Circumstances,
)

from ..builders import catalogue, service

RAW = {"mesh_name": "shop"}
MESH = catalogue(
    service("web", open_paths=["/health"]),
    service("pay", callers=[{"service": "web", "methods": ["POST"], "paths": ["/pay/*"]}]),
)
WHEN = Circumstances("1970-01-01T00:00:00+00:00", "uid-1", "v1.36.0", ("1.31.0",), {"Gateway shop/x": "7"})
EVIL = "<script>alert('x')</script> & \x01"
FOUND = told.Findings(
    (
        told.passed("policies", "shop/web", "12 cells as the catalogue states"),
        told.failed("policies", "AuthorizationPolicy shop/hole", f"opens shop/pay to {EVIL}"),
        told.passed("mtls", "shop/web:3000", "only chains that demand a client certificate, in 1 proxies"),
        told.passed("plaintext", "shop/web:80", "a plaintext request was cut off without an answer"),
        told.passed("authorization", "shop/web -> shop/pay", "POST /pay/x was let in, answer 200"),
        told.unknown("sync", "Pod shop/pay-1", "could not be read"),
        told.stated("authorization", "shop/web", "everybody is let in: a page"),
        told.not_tested("authorization", "shop/pay", "methods that change something"),
    )
)


def written(tmp_path: Path, ending: str, findings: told.Findings = FOUND) -> str:
    path = tmp_path / f"verify{ending}"
    report.write_report(str(path), findings, MESH, RAW, WHEN)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    return path.read_text(encoding="utf-8")


def test_json_says_when_and_what_and_guards_itself(tmp_path: Path) -> None:
    record = json.loads(written(tmp_path, ".json"))
    assert (record["mesh"], record["status"], len(record["findings"])) == ("shop", "fail", 8)
    assert record["time"] == "1970-01-01T00:00:00+00:00"
    assert record["catalogue_sha256"] == report.digest(RAW)
    assert (record["cluster"], record["kubernetes"], record["istio"]) == ("uid-1", "v1.36.0", ["1.31.0"])
    assert record["objects"] == {"Gateway shop/x": "7"}
    assert record["rules"] == [
        "shop/pay: shop/web POST /pay/* on 3000",
        "shop/web: any peer GET /health on 3000",
    ]
    assert record["previous_sha256"] == ""
    assert record.pop("sha256") == report.digest(record)
    record["status"] = "pass"
    assert report.digest(record) != report.digest({**record, "status": "fail"})


def test_junit_counts_cannot_tell_as_error(tmp_path: Path) -> None:
    suite = ET.fromstring(written(tmp_path, ".xml"))  # noqa: S314  # our own file
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["8", "1", "1", "1"]
    assert suite.get("name") == "mesh shop"
    tags = [[child.tag for child in case] for case in suite]
    assert tags[1] == ["failure"]
    assert tags[5:] == [["error"], ["system-out"], ["skipped"]]
    assert suite[6][0].text == "stated opening: everybody is let in: a page"


def test_sarif_has_a_rule_for_every_result(tmp_path: Path) -> None:
    log = json.loads(written(tmp_path, ".sarif"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= rules
    kinds = [result["kind"] for result in run["results"]]
    assert kinds == ["pass", "fail", "pass", "pass", "pass", "review", "informational", "notApplicable"]
    assert {result["level"] for result in run["results"] if result["kind"] == "fail"} == {"error"}


class Page(html.parser.HTMLParser):
    """Ids of tables, and what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(str(values.get("id")))
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    text = written(tmp_path, ".html")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.fetched == []
    assert {"headline", "checks", "causes", "notes", "matrix", "ports", "findings", "filter"} <= page.ids
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "POST /pay/* :3000 (called)" in text
    row = text[text.index("<th>shop/pay</th>") :]
    assert row.startswith('<th>shop/pay</th><td class="fail">FAIL</td>')


def test_a_page_without_problems_says_so(tmp_path: Path) -> None:
    text = written(tmp_path, ".html", told.Findings((FOUND.findings[0],)))
    assert "Nothing failed, and nothing was left unclear." in text


def test_two_hundred_services_fit_on_a_page(tmp_path: Path) -> None:
    mesh = catalogue(*(service(f"s{i}", callers=[{"service": f"s{(i + 1) % 200}"}]) for i in range(200)))
    found = told.Findings(tuple(told.passed("policies", one.key, "as stated") for one in mesh.services))
    path = tmp_path / "verify.html"
    report.write_report(str(path), found, mesh, RAW, WHEN)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 500_000
    assert "<td><b>shop/s1</b> any method any path :3000</td>" in text


def test_an_unwritable_report_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "verify.json").mkdir()
    with pytest.raises(MeshError, match="could not be written"):
        report.write_report(str(tmp_path / "verify.json"), FOUND, MESH, RAW, WHEN)
