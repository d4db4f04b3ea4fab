# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a rollout's tools together for one service of one cluster."""

from __future__ import annotations

import dataclasses
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem, RefusedError
from ...istio.metrics import Prometheus, fill_query
from ...kube.clock import Clock, SystemClock
from ...kube.pods import takes_requests
from ...model.catalogue.services import Condition, Mirror, Service, StringMatch, Variant
from ...model.objects.virtual_service_delegates import delegate_name, delegate_object
from ...model.rollout.gates import Policy, QueryGate, ShareGate
from ...model.rollout.phases import Phase, Plan
from ...model.rollout.requests import Arms as MetricArms
from ...model.rollout.split import Split, with_sticky_cookie
