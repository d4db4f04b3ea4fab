"""What an older ansible-core runs: every test that it can decide."""

from __future__ import annotations

import functools
from pathlib import Path

from tools.meets_ansible import SEAMS
from tools.meets_ansible import test_files as found  # a name that pytest does not collect
from tools.paths import ROOT

FILES = {
    "plugins/a.py": "from ansible.errors import AnsibleError\n",
    "plugins/b.py": "from .a import AnsibleError\n",
    "plugins/c.py": "from ansible_collections.servicemesh.istio.plugins.d import x\n",
    "plugins/d.py": "x = 'ansible-playbook servicemesh.istio.site'  # told; ansible is not imported here\n",
    "tests/unit/test_far.py": "from ansible_collections.servicemesh.istio.plugins.b import AnsibleError\n",
    "tests/unit/test_near.py": "import ansible.constants\n",
    "tests/unit/test_pure.py": "from ansible_collections.servicemesh.istio.plugins.c import x\n",
    "tests/unit/test_runs.py": 'COMMAND = ["ansible-playbook", "site.yml"]\n',
    "tests/unit/kube/test_helped.py": "from ..support.runs import run\n",
    "tests/unit/support/runs.py": "def run():\n    import ansible\n",
    "tests/unit/repo/test_roles.py": "import yaml\n",
    "tests/unit/support/arguments.py": "from ansible.module_utils.common import arg_spec\n",
    "tests/unit/mesh/world.py": "from ..support.arguments import arg_spec\n",
    "tests/unit/mesh/test_options.py": "from ..support.arguments import arg_spec\n",
    "tests/unit/mesh/test_every_kill.py": "from .world import arg_spec\n",
    "tests/unit/tools/test_lint.py": "import ansible\n",
}


def test_what_meets_it_however_far_away(tmp_path: Path) -> None:
    for room in ("plugins", "tests", "lab", "tools"):
        (tmp_path / room).mkdir()
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(found(tmp_path)) == [
        "tests/unit/kube/test_helped.py",
        "tests/unit/mesh/test_options.py",
        "tests/unit/test_far.py",
        "tests/unit/test_near.py",
        "tests/unit/test_runs.py",
    ]


@functools.cache
def here() -> frozenset[str]:
    return frozenset(found())


def test_here_plugins_that_ansible_loads_are_among_them() -> None:
    for room in ("action", "filter", "lookup"):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/unit" / room).rglob("test_*.py")}
        assert files <= here(), room


def test_of_what_looks_at_the_repository_only_those_that_look_with_ansibles_eyes() -> None:
    """They run its programs, or ask its parsers; what is read as YAML is the same for every ansible-core."""
    files = {Path(name).name for name in here() if name.startswith("tests/unit/repo/")}
    assert {"test_pages.py", "test_schedules.py"} <= files
    assert not {"test_awx.py", "test_docstrings.py", "test_patterns.py", "test_text_in_roles.py"} & files


def test_each_seam_is_there_and_has_tests_that_import_it() -> None:
    for seam in SEAMS:
        assert "from ansible." in (ROOT / seam).read_text()
    assert {"tests/unit/istio/test_metrics.py", "tests/unit/operations/verify/test_options.py"} <= here()
