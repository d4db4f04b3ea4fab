"""The engine as a program of its own, comparable with kubectl: python engine.py KUBECONFIG FILE [--check]."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import resources
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.context import Context

params = {name: spec.get("default") for name, spec in resources.ARGUMENT_SPEC.items()}
params.update(kubeconfig=sys.argv[1], src=[sys.argv[2]])
check = "--check" in sys.argv
result = resources.run(params, Context(check_mode=check, diff_mode=check, environment=os.environ))
json.dump(result["counts"], sys.stdout)
