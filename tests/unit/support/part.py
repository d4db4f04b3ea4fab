"""The environments of ``make test`` divide what no version of Python decides.

``UNIT_PART=2/3`` is the second of three parts; where nobody divides (``make unit``), there is everything.

What computes is divided test by test: each environment imports all of it, and runs half of each family of
tests. Whole in each of them remains what a version does decide: tests of what Ansible loads, of connections
(``kube/``), of YAML and JSON (``documents/``); and elsewhere each file that itself uses Ansible, sockets,
TLS, HTTP, processes or signals, or whose subject is a module that does.
"""

from __future__ import annotations

import functools
import os
import re
import zlib
from pathlib import Path

UNIT = Path(__file__).resolve().parents[1]
LOOK = ("lab/", "repo/", "test_files.py", "test_layers.py", "test_words.py")
"""They look at the repository."""
COMPUTE = (
    *("istio/", "kube/test_comparison.py", "kube/test_three_way.py", "model/", "operations/"),
    *("test_equality.py", "test_fields.py"),
)
CROSSED = ("action/test_secrets.py",)
"""Every way in with every end on both roads: each part has each way and each end, many times."""
DIVIDED = (*LOOK, *COMPUTE, *CROSSED)
"""Files and directories of ``tests/unit`` of which each test runs in one environment."""
WHOLE = (
    "operations/canary/outside/",
    *("operations/control_plane/test_installer.py", "operations/download/"),
)
"""What is whole among those that compute, for what its subject uses."""
_USES = re.compile(
    r"^(?:from|import) (?:ansible|http|multiprocessing|signal|socket|ssl|subprocess)(?:\.|\s)", re.MULTILINE
)


@functools.cache
def is_divided(place: str) -> bool:
    """Whether the tests of a file are. ``place``: from ``tests/unit`` on."""
    if place.startswith(COMPUTE):
        return not (place.startswith(WHOLE) or _USES.search((UNIT / place).read_text(encoding="utf-8")))
    return place.startswith(DIVIDED)


def runs_here(test: str) -> bool:
    """Whether a test is of this environment's part. ``test``: as pytest names it, from the repository on."""
    number, _slash, parts = os.environ.get("UNIT_PART", "1/1").partition("/")
    place = test.removeprefix("tests/unit/").partition("::")[0]
    return parts == "1" or not is_divided(place) or zlib.crc32(test.encode()) % int(parts) == int(number) - 1
