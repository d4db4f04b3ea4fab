"""The guide of kind: its files are found by their names, and only what the lab lacks is replaced."""

from __future__ import annotations

import yaml

from tools import kind_page


def test_the_files_of_the_page() -> None:
    found = kind_page.files(kind_page.PAGE.read_text(encoding="utf-8"))
    assert set(found) == {
        "mesh/hosts.yml", "mesh/group_vars/all/istio.yml", "mesh/group_vars/all/mesh.yml", "hello.yaml",
    }  # fmt: skip
    assert list(yaml.safe_load(found["mesh/hosts.yml"])["istio"]["hosts"]) == ["kind"]


def test_a_block_belongs_to_the_last_name_before_it() -> None:
    text = "`a.yml` and then `mesh/b.yml`:\n\n```yaml\none: 1\n```\n\n`c.yaml`\n```yaml\ntwo: 2\n```\n"
    assert kind_page.files(text) == {"mesh/b.yml": "one: 1\n", "c.yaml": "two: 2\n"}


def test_only_the_program_of_the_service_is_replaced() -> None:
    page = kind_page.files(kind_page.PAGE.read_text(encoding="utf-8"))["hello.yaml"]
    written, replaced = (list(yaml.safe_load_all(text)) for text in (page, kind_page.of_the_lab(page)))
    (container,) = written[-1]["spec"]["template"]["spec"]["containers"]
    (other,) = replaced[-1]["spec"]["template"]["spec"]["containers"]
    assert other["args"] == ["8000"]
    for name in ("image", "args", "command"):
        container.pop(name, None)
        other.pop(name, None)
    assert written == replaced
