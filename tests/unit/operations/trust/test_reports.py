# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and alerts read of a look at trust: files in four formats, the headline, the limits."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import datetime
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.trust import (
    KINDS,
    Limits,
    TrustEntry,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    CertificateFacts,
    CertificateFault,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust.backend import (
    read_limits,
    result_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust.report import (
    check_paths,
    write_reports,
)

from ...support.certificates import DAY, NOW
from .trusted_mesh import TrustedMesh


def entry(
    verdict: str,
    where: str = "Secret a/b",
    *,
    days: float | None = 10,
    kind: str = "gateway",
    part: str = "leaf",
    reasons: tuple[str, ...] = (),
) -> TrustEntry:
    life = None
    if days is not None:
        life = CertificateFacts(
            "ab", "12", NOW - 10 * DAY, NOW + days * DAY, ("a",), subject="CN=a", issuer="CN=b"
        )
    return TrustEntry(
        kind, where, part, verdict, tuple(CertificateFault("rule", text) for text in reasons), life
    )


MIXED = [
    entry("pass", "Secret a/late", days=400),
    entry("due", "Secret a/soon", days=2, reasons=("ends soon", "and has a <name>")),
    entry("cannot tell", "proxy a/b", days=None, kind="workload", part="", reasons=("no right",)),
    entry("fail", 'Secret a/"q"', days=-1, reasons=("has ended",)),
    entry("pass", "Secret a/first", days=1),
]


def written(tmp_path: Path, name: str, entries: list[TrustEntry], mesh: str = "shop") -> str:
    path = tmp_path / name
    write_reports([str(path)], mesh, entries, result_of(entries, NOW), NOW)
    return path.read_text(encoding="utf-8")


# -- result --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "status", "headline"),
    [
        (MIXED, "fail", 'fail: Secret a/"q": leaf has ended (1 fail, 1 cannot tell, 1 due, 2 pass)'),
        ([MIXED[1], MIXED[2]], "cannot tell", "cannot tell: proxy a/b: no right (1 cannot tell, 1 due)"),
        ([MIXED[0], MIXED[1]], "due", "due: Secret a/soon: leaf ends soon (1 due, 1 pass)"),
        ([MIXED[0], MIXED[4]], "pass", "pass: 2 certificates; the first to end is Secret a/first in 1.0 days (2 pass)"),
        ([entry("pass", days=None)], "pass", "pass: no certificate was found (1 pass)"),
        ([], "cannot tell", "cannot tell: no certificate was found (nothing was looked at)"),
    ],
)  # fmt: skip
def test_the_headline_names_the_worst_or_what_ends_first(
    entries: list[TrustEntry], status: str, headline: str
) -> None:
    result = result_of(entries, NOW)
    assert (result["status"], result["headline"]) == (status, headline)


def test_findings_are_what_is_no_pass_the_worst_first_and_ten_ends_the_soonest_first() -> None:
    result = result_of(MIXED, NOW)
    assert [one["where"] for one in result["findings"]] == ['Secret a/"q"', "proxy a/b", "Secret a/soon"]
    assert [one["where"] for one in result["soonest"]] == [
        'Secret a/"q"', "Secret a/first", "Secret a/soon", "Secret a/late",
    ]  # fmt: skip
    assert result["counts"] == {"fail": 1, "cannot tell": 1, "due": 1, "pass": 2}
    assert result["changed"] is False
    many = result_of([entry("pass", f"S {day:02}", days=day) for day in range(20, 0, -1)], NOW)
    assert [one["where"] for one in many["soonest"]] == [f"S {day:02}" for day in range(1, 11)]


# -- options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gatway": {}}, f"trust_limits['gatway']: is none of {', '.join(KINDS)}"),
        ({"gateway": [1]}, "trust_limits['gateway']: is no mapping of due and fail"),
        ({"gateway": {"duo": 1}}, "trust_limits['gateway']: is no mapping of due and fail"),
        ({"gateway": {"due": "soon"}}, "trust_limits['gateway']: due and fail are numbers, such as 0.33"),
        ({"gateway": {"due": None}}, "trust_limits['gateway']: due and fail are numbers, such as 0.33"),
        ({"gateway": {"due": 1}}, "trust_limits['gateway']: due is 1 and fail is 0.166667, not 0 <= fail <= due < 1"),
        ({"gateway": {"due": 0.1}}, "trust_limits['gateway']: due is 0.1 and fail is 0.166667, not 0 <= fail <= due < 1"),
        ({"gateway": {"fail": -0.1}}, "trust_limits['gateway']: due is 0.333333 and fail is -0.1, not 0 <= fail <= due < 1"),
    ],
)  # fmt: skip
def test_limits_that_are_none_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_limits(given)
    assert message in str(caught.value)


def test_limits_that_are_some() -> None:
    assert read_limits({}) == {}
    assert read_limits({"gateway": {"due": "0.5", "fail": 0}, "clock": {"fail": 1 / 3}, "mesh CA": {}}) == {
        "gateway": Limits(0.5, 0.0),
        "clock": Limits(1 / 3, 1 / 3),
        "mesh CA": Limits(),
    }
    with pytest.raises(InputError) as caught:
        read_limits({"x": {}, "gateway": {"due": "a"}})
    assert len(caught.value.problems) == 2


def test_what_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    mesh = TrustedMesh()
    for params, message in (
        ({"max_proxies": 0}, r"trust_max_proxies: is 0, not above 0"),
        ({"limits": {"x": {}}}, r"trust_limits"),
        ({"report_path": [str(tmp_path / "a.txt")]}, r"trust_report_path\[0\]"),
    ):
        with pytest.raises(InputError, match=message):
            mesh.run(**params)
    assert mesh.cluster.calls == []
    assert mesh.run(max_proxies=3)["status"] == "pass"


@pytest.mark.parametrize(
    ("fail_on", "ends"), [([], False), (["fail"], True), (["due"], False), (["cannot tell", "fail"], True)]
)
def test_whoever_asks_for_it_is_failed_with_the_whole_result(fail_on: list[str], *, ends: bool) -> None:
    mesh = TrustedMesh()
    mesh.cluster.remove("Secret", "api", "istio-system")
    if not ends:
        assert mesh.run(fail_on=fail_on)["status"] == "fail"
        return
    with pytest.raises(MeshError) as caught:
        mesh.run(fail_on=fail_on)
    assert caught.value.message.startswith("fail: Secret istio-system/api: leaf does not exist")
    assert caught.value.details["counts"]["fail"] == 1
    assert caught.value.details["findings"][0]["where"] == "Secret istio-system/api"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.txt"], "[0]: '{dir}/a.txt' ends in none of .json, .xml, .prom, .html"),
        (["a"], "[0]: '{dir}/a' ends in none of .json, .xml, .prom, .html"),
        (["a.json", "none/a.json"], "[1]: the directory of '{dir}/none/a.json' does not exist"),
        (["a.json", "b.json", "a.json"], "[2]: '{dir}/a.json' is listed twice"),
    ],
)
def test_paths_that_cannot_be_written_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_paths([f"{tmp_path}/{name}" for name in names])
    assert [str(problem).partition(" (")[0] for problem in caught.value.problems] == [
        f"trust_report_path{message.format(dir=tmp_path)}"
    ]


def test_paths_that_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    check_paths(["~/a.json", f"{tmp_path}/a.xml", "~/a.prom", "~/a.html"])
    write_reports(["~/a.json"], "shop", MIXED, result_of(MIXED, NOW), NOW)
    assert (tmp_path / "a.json").exists()


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.mkdir()
    with pytest.raises(MeshError, match=rf"the report {path} could not be written: Is a directory"):
        write_reports([str(path)], "shop", MIXED, result_of(MIXED, NOW), NOW)


# -- formats -------------------------------------------------------------------------------------------------


def test_json_holds_everything(tmp_path: Path) -> None:
    found = json.loads(written(tmp_path, "a.json", MIXED))
    assert list(found) == ["mesh", "time", "status", "headline", "counts", "entries"]
    assert (found["mesh"], found["time"], found["status"]) == ("shop", "2026-11-23T12:00:00Z", "fail")
    assert [one["where"] for one in found["entries"]] == [one.where for one in MIXED]
    assert found["entries"][0]["days_left"] == 400


def test_junit_says_failure_error_or_nothing(tmp_path: Path) -> None:
    suite = ET.fromstring(written(tmp_path, "a.xml", MIXED))  # noqa: S314 - made here
    suite = suite if suite.tag == "testsuite" else suite[0]
    assert suite.get("name") == "trust of mesh shop"
    told = {
        case.get("name"): (case.get("classname"), [(one.tag, one.get("type"), one.get("message")) for one in case if one.tag != "system-out"])
        for case in suite.iter("testcase")
    }  # fmt: skip
    assert told["Secret a/soon leaf"] == ("gateway", [("failure", "due", "ends soon; and has a <name>")])
    assert told['Secret a/"q" leaf'] == ("gateway", [("failure", "fail", "has ended")])
    assert [one[0] for one in told["proxy a/b"][1]] == ["error"]
    assert told["proxy a/b"][1][0][2] == "no right"
    assert told["Secret a/late leaf"] == ("gateway", [])
    assert "valid until 2027-12-28 12:00 UTC" in written(tmp_path, "a.xml", MIXED)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "1")


def test_prometheus_reads_every_end_and_every_count(tmp_path: Path) -> None:
    odd = entry("pass", 'C:\\a "b"\nc', days=10, kind="webhook", part="root 1")
    text = written(tmp_path, "a.prom", [odd, *MIXED], mesh='s"p')
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    labels = 'mesh="s\\"p",kind="webhook",where="C:\\\\a \\"b\\"\\nc",part="root 1"'
    end, share = (
        "servicemesh_certificate_not_after_timestamp_seconds",
        "servicemesh_certificate_life_left_ratio",
    )
    assert f"{end}{{{labels}}} {(NOW + 10 * DAY).timestamp():.0f}" in samples
    assert f"{share}{{{labels}}} 0.50000" in samples
    assert sum(line.startswith(end) for line in samples) == 5  # those with dates
    assert sum(line.startswith(share) for line in samples) == 5
    assert [line for line in samples if line.startswith("servicemesh_trust_")] == [
        'servicemesh_trust_entries{mesh="s\\"p",verdict="fail"} 1',
        'servicemesh_trust_entries{mesh="s\\"p",verdict="cannot tell"} 1',
        'servicemesh_trust_entries{mesh="s\\"p",verdict="due"} 1',
        'servicemesh_trust_entries{mesh="s\\"p",verdict="pass"} 3',
        f'servicemesh_trust_last_look_timestamp_seconds{{mesh="s\\"p"}} {NOW.timestamp():.0f}',
    ]
    assert len(samples) == 5 + 5 + 5
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    # every sample has its type before it, as the exposition format wants
    typed = set(re.findall(r"^# TYPE (\S+) gauge$", text, re.MULTILINE))
    assert typed == set(re.findall(r"^# HELP (\S+) .+\.$", text, re.MULTILINE))
    assert {line.partition("{")[0] for line in samples} == typed


def rows(page: str) -> list[str]:
    return re.findall(r'<tr data-text="(.*?)">', page)


def test_the_page_lists_everything_the_worst_first_and_each_end(tmp_path: Path) -> None:
    page = written(tmp_path, "a.html", MIXED, mesh="<shop>")
    assert "<h1>Trust of mesh &lt;shop&gt;</h1>" in page
    assert re.search(r'<p id="headline" class="fail">fail: Secret a/(&quot;|&#34;)q', page)
    assert (
        "<p>5 looked at: 1 fail, 1 cannot tell, 1 due, 2 pass. As of 2026-11-23 12:00 UTC, by the API" in page
    )
    assert [row.split(" secret")[0].split(" proxy")[0] for row in rows(page)] == [
        "fail gateway", "cannot tell workload", "due gateway", "pass gateway", "pass gateway",
    ]  # fmt: skip
    assert rows(page)[2] == "due gateway secret a/soon leaf ends soon and has a &lt;name&gt; 2026-11-25 12:00"
    assert rows(page)[1] == "cannot tell workload proxy a/b  no right "
    assert [row.split()[2:4] for row in rows(page)[3:]] == [["secret", "a/first"], ["secret", "a/late"]]
    assert (
        '<td class="due"><strong>due</strong></td><td>gateway</td><td class="where">Secret a/soon<div>ends soon</div>'
        '<div>and has a &lt;name&gt;</div></td><td>leaf</td><td class="number">2.0</td>'
        '<td class="number">2026-11-25 12:00</td></tr>'
    ) in page
    assert '<td></td><td class="number"></td><td class="number"></td></tr>' in page
    assert [css for css in ("fail", "cannot", "due", "pass") if f'<td class="{css}">' in page] == [
        "fail", "cannot", "due", "pass",
    ]  # fmt: skip
    assert "further certificates end later" not in page
    assert "<script src" not in page


def bars(page: str) -> list[tuple[str, float, float, str]]:
    """Title, y, width and colour of each bar."""
    found = re.findall(
        r'<g><title>(.*?)</title>.*?<rect x="360" y="(\d+)" width="([\d.]+)" .*?fill="(#\w+)"/></g>', page
    )
    return [(title, float(top), float(width), colour) for title, top, width, colour in found]


def test_the_time_line_has_a_bar_for_each_end_the_soonest_first(tmp_path: Path) -> None:
    page = written(tmp_path, "a.html", [*MIXED, entry("pass", "S" * 60, days=9000)])
    found = bars(page)
    assert [title.partition(": ")[2] for title, *_rest in found] == [
        "-1.0 days", "1.0 days", "2.0 days", "400.0 days", "9000.0 days",
    ]  # fmt: skip
    widths = [width for _title, _top, width, _colour in found]
    assert widths[0] == 2.0  # what has ended is still to be seen
    assert widths == sorted(widths)
    assert 200 < widths[1] < widths[2] < 300  # logarithmic: a day is a quarter of the line
    assert widths[-1] == 780.0  # twenty years and more: the whole line
    assert [colour for *_rest, colour in found] == ["#cf222e", "#1a7f37", "#a15c00", "#1a7f37", "#1a7f37"]
    assert [top for _title, top, _width, _colour in found] == [31.0, 51.0, 71.0, 91.0, 111.0]
    labels = [float(y) for y in re.findall(r'</title><text x="\d+" y="(\d+)"', page)]
    assert [0 < label - top < 14 for label, (_title, top, *_rest) in zip(labels, found, strict=True)] == [
        True,
    ] * 5, "beside its bar"
    assert 'viewBox="0 0 1160 140"' in page
    assert f">{'S' * 49}…</text>" in page
    ticks = re.findall(r'<path d="M([\d.]+) 24V140".*?text-anchor="middle">(.*?)</text>', page)
    assert [text for _place, text in ticks] == ["1 day", "1 week", "1 month", "1 year", "10 years"]
    places = [float(place) for place, _text in ticks]
    assert places == sorted(places)
    assert places[0] == pytest.approx(360 + widths[1], abs=0.2)
    assert places[-1] < 1140


@pytest.mark.parametrize(("length", "cut"), [(45, False), (46, True)])
def test_a_label_that_does_not_fit_is_cut(tmp_path: Path, length: int, *, cut: bool) -> None:
    page = written(tmp_path, "a.html", [entry("pass", "S" * length)])
    assert (f"{'S' * length} leaf</text>" in page) is not cut
    assert ("…</text>" in page) is cut


@pytest.mark.parametrize(("number", "more"), [(60, ""), (61, "1"), (75, "15")])
def test_a_long_time_line_says_how_much_it_leaves_out(tmp_path: Path, number: int, more: str) -> None:
    entries = [entry("pass", f"Secret {day}", days=day + 1) for day in range(number)]
    page = written(tmp_path, "a.html", [*entries, entry("cannot tell", days=None, reasons=("x",))])
    assert len(bars(page)) == 60
    assert re.findall(r"<p>(\d+) further certificates end later.</p>", page) == ([more] if more else [])
    assert len(rows(page)) == number + 1


def test_a_page_without_dates_says_so(tmp_path: Path) -> None:
    page = written(tmp_path, "a.html", [entry("cannot tell", days=None, reasons=("x",))])
    assert "<p>No certificate with dates was found.</p>" in page
    assert "<svg" not in page


def test_times_of_other_zones_are_told_in_utc(tmp_path: Path) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    path = tmp_path / "a.html"
    write_reports([str(path)], "shop", MIXED, result_of(MIXED, NOW), NOW.astimezone(zone))
    assert "As of 2026-11-23 12:00 UTC" in path.read_text(encoding="utf-8")
