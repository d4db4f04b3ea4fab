"""The engine as a program of its own, comparable with kubectl: python engine.py KUBECONFIG FILE [--check].

Its caller sets PYTHONPATH to the clone's ``collections``.
"""

from __future__ import annotations

import json
import os
import sys

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)

params = {name: spec.get("default") for name, spec in resources.ARGUMENT_SPEC.items()}
params.update(kubeconfig=sys.argv[1], src=[sys.argv[2]])
check = "--check" in sys.argv
result = resources.run(params, Context(check_mode=check, diff_mode=check, environment=os.environ))
json.dump(result["counts"], sys.stdout)
