# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument spec of module ``canary``; `options` makes typed values of it."""

from __future__ import annotations

from typing import Any

CANARY_SPEC: dict[str, Any] = {
    "service": {"type": "str"},
    "namespace": {"type": "str"},
    "version": {"type": "str"},
    "catalogue": {"type": "dict", "required": True},
    "action": {"type": "str", "choices": ["run", "rollback", "promote", "pause", "resume"], "default": "run"},
    "orphans": {"type": "str", "choices": ["rollback", "continue"], "default": "rollback"},
    "behind_stable": {"type": "bool", "default": False},
    "sick_stable": {"type": "bool", "default": False},
    "steps": {"type": "list", "elements": "raw"},
    "step_weight": {"type": "raw"},
    "duration": {"type": "raw", "default": 60},
    "min_requests": {"type": "raw", "default": 100},
    "promote": {"type": "bool", "default": True},
    "approvals": {"type": "list", "elements": "int", "default": []},
    "dark": {"type": "raw"},
    "mirror": {"type": "dict"},
    "testers": {"type": "dict"},
    "sticky": {"type": "dict"},
    "errors": {"type": "dict", "default": {}},
    "latency": {"type": "dict"},
    "queries": {"type": "list", "elements": "dict", "default": []},
    "alpha": {"type": "float", "default": 0.01},
    "power": {"type": "float", "default": 0.95},
    "mode": {"type": "str", "choices": ["sequential", "fixed"], "default": "sequential"},
    "prometheus": {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "bearer_token": {"type": "str", "no_log": True},
            "ca_cert": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "namespace": {"type": "str"},
            "service": {"type": "str"},
            "port": {"type": "raw", "default": 9090},
            "timeout": {"type": "raw", "default": 10},
            "matchers": {"type": "dict", "default": {}},
            "replica_labels": {"type": "list", "elements": "str", "default": []},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
    },
    "scrape_interval": {"type": "raw", "default": 15},
    "baseline": {"type": "raw", "default": 60},
    "low_traffic": {
        "type": "str",
        "choices": ["rollback", "promote_with_warning", "synthetic"],
        "default": "rollback",
    },
    "synthetic": {"type": "dict"},
    "deadline": {"type": "raw", "default": 7200},
    "phase_deadline": {"type": "raw", "default": 1800},
    "unmeasurable": {"type": "raw", "default": 300},
    "ready_timeout": {"type": "raw", "default": 120},
    "propagation": {"type": "str", "choices": ["require", "report"], "default": "require"},
    "propagation_timeout": {"type": "raw", "default": 60},
    "propagation_max_proxies": {"type": "int", "default": 200},
    "mtls": {"type": "str", "choices": ["auto", "require", "report", "off"], "default": "auto"},
    "lease": {"type": "raw", "default": 30},
    "resume_period": {"type": "raw", "default": 60},
    "on_stop": {"type": "str", "choices": ["rollback", "leave"], "default": "rollback"},
    "gitops": {"type": "str", "choices": ["refuse", "ignore"], "default": "refuse"},
    "routes": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str"}},
    },
    "capacity": {"type": "str", "choices": ["hold", "ignore"], "default": "hold"},
    "scale": {
        "type": "dict",
        "options": {
            "up": {"type": "int"},
            "down": {"type": "bool", "default": False},
            "delay": {"type": "raw", "default": 30},
            "drain": {"type": "raw", "default": 600},
        },
    },
    "deadman": {"type": "str", "choices": ["none", "job"], "default": "none"},
    "deadman_job": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "image": {"type": "str", "default": "docker.io/library/python:3.13-slim"},
            "service_account": {"type": "str", "default": "servicemesh-deadman"},
            "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
    },
    "evidence": {"type": "path"},
    "by": {"type": "str"},
}
