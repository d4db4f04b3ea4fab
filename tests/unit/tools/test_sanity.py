"""What ansible-test imports in `make test`: the files that load all others."""

from __future__ import annotations

from pathlib import Path

from tools.imports import Imports
from tools.paths import ROOT
from tools.sanity import SHIPPED, entries

SHARED = "plugins/module_utils"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_whatever_no_other_file_loads_is_imported_by_itself(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "plugins/action/one.py": "from ..module_utils import low\nfrom ..plugin_utils import base\n",
            "plugins/plugin_utils/base.py": "",
            "plugins/modules/two.py": (
                "from ansible_collections.servicemesh.istio.plugins.module_utils.high import x\n"
            ),
            f"{SHARED}/high.py": (
                "from . import low\n"
                "if TYPE_CHECKING:\n    from . import typed\n"
                "try:\n    from . import perhaps\nexcept ImportError:\n    pass\n"
                "def f():\n    from . import later\n"
            ),
            **{f"{SHARED}/{name}.py": "" for name in ("low", "typed", "perhaps", "later", "only_one")},
            f"{SHARED}/circle_a.py": "from . import circle_b\n",
            f"{SHARED}/circle_b.py": "from . import circle_a\n",
            "plugins/filter/three.py": "from ..module_utils import only_one\n",
        },
    )
    # `only_one` is loaded by a filter alone, which may import what a module may not.
    shared = ("circle_a", "circle_b", "later", "only_one", "perhaps", "typed")
    assert entries(root) == [
        *(f"{SHARED}/{name}.py" for name in shared),
        "plugins/modules/two.py",
        "plugins/action/one.py",
        "plugins/filter/three.py",
    ]


def test_here_they_load_every_file_and_are_few() -> None:
    names = [str(path.relative_to(ROOT)) for path in (ROOT / "plugins").rglob("*.py")]
    imports = Imports(ROOT, names)
    found = entries()
    assert set().union(*map(imports.needed_by, found)) == set(names)
    assert len(found) < len(names) / 5
    modules = {name for name in names if name.startswith(SHIPPED[1]) and Path(name).stem != "__init__"}
    assert modules <= set(found)
