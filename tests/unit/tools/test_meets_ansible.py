"""What an older ansible-core runs: every test that it can decide."""

from __future__ import annotations

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
    assert found(tmp_path) == [
        "tests/unit/kube/test_helped.py",
        "tests/unit/mesh/test_options.py",
        "tests/unit/repo/test_roles.py",
        "tests/unit/test_far.py",
        "tests/unit/test_near.py",
        "tests/unit/test_runs.py",
    ]


def test_here_plugins_that_ansible_loads_are_among_them() -> None:
    here = found()
    for room in ("action", "filter", "lookup", "repo"):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/unit" / room).rglob("test_*.py")}
        assert files <= set(here), room


def test_each_seam_is_there_and_has_tests_that_import_it() -> None:
    here = found()
    for seam in SEAMS:
        assert "from ansible." in (ROOT / seam).read_text()
    assert {"tests/unit/istio/test_metrics.py", "tests/unit/operations/verify/test_options.py"} <= set(here)
