#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: canary
short_description: Roll a version of a service out in phases, with proof and evidence at every step
version_added: 0.9.0
description:
  - Moves the split of a service from its stable version to another one, phase by phase. Each phase is
    written, proved in the dumps of the calling proxies and gateways, watched through metrics, and judged.
  - Works with two plain Deployments told apart by labels. Nothing is installed in the cluster.
  - Intent is in a journal in the cluster before each write, and a lease with a fence keeps others out, so a
    runner may die at any moment. The next call continues, and V(action=resume) withdraws what a dead
    runner left.
  - A rollout that ends at the stable version fails the task; the reason is its message.
author: [servicemesh.istio contributors (@servicemesh)]
extends_documentation_fragment:
  - servicemesh.istio.cluster
  - servicemesh.istio.prometheus
notes:
  - Times are seconds, or text such as C(30s), C(5m), C(1h30m).
attributes:
  check_mode:
    support: full
    description: Shows the plan, the exact change of each phase and the preflight's verdicts; writes nothing.
  diff_mode:
    support: full
    description: In check mode, one diff of the routes per phase.
options:
  service:
    description:
      - Name of the service in C(mesh_services). Needed by every action but V(resume), which looks at
        all services without it.
    type: str
  namespace:
    description:
      - Namespace of the service. Default is C(mesh_namespace).
    type: str
  version:
    description:
      - Version that shall serve, a key of the service's C(versions). Needed by V(run).
      - With V(promote) a rollout of another version is refused.
    type: str
  catalogue:
    description:
      - The mesh as data, variables C(mesh_*), C(istio_gateways) and C(istio_namespace) as a dictionary.
    type: dict
    required: true
  action:
    description:
      - V(run) starts the rollout or continues it. V(rollback) gives all requests back to the stable
        version; right after a promotion, to the version before it. V(promote) approves a waiting run and
        carries it on, tells a live runner to skip the remaining phases, or finishes a run that ended with a
        split or a hold. V(pause) ends a live run where it is.
      - V(resume) is for a schedule. It cleans up after dead runners, withdraws waiting runs whose version
        fell ill, and gives held runs back to a stable version that is ready again. It fails when a service
        needs a person, after it has looked at all of them.
      - Whatever a run was begun with decides until its end (options, gates, routes); of a later call only
        the connection, O(prometheus), O(orphans), O(evidence) and O(by) count.
    type: str
    choices: [run, rollback, promote, pause, resume]
    default: run
  orphans:
    description:
      - What V(action=resume) does with a rollout whose runner died in the middle.
    type: str
    choices: [rollback, continue]
    default: rollback
  behind_stable:
    description:
      - Whether V(action=rollback) may leave a stable version that the last run did not promote, for the
        version before it. Without it only the last promotion is taken back.
    type: bool
    default: false
  sick_stable:
    description:
      - Roll out although the stable version is sick or gone, to replace it. It is not waited for, and its own
        failures do not refuse the rollout.
    type: bool
    default: false
  steps:
    description:
      - Shares of the canary in percent, rising. An item may be a dictionary with C(weight),
        C(duration), C(min_requests). Default is C([10, 25, 50, 75, 100]).
    type: list
    elements: raw
  step_weight:
    description:
      - Size of equal steps in percent, instead of O(steps).
    type: raw
  duration:
    description:
      - Least seconds of each phase, or text such as C(5m), or a list with one per step.
    type: raw
    default: 60
  min_requests:
    description:
      - Canary requests that each phase needs, or a list with one per step.
    type: raw
    default: 100
  promote:
    description:
      - With V(false) the split of the last step stays, and the stable version keeps its name, also where that
        step gives the new version everything.
    type: bool
    default: true
  approvals:
    description:
      - Numbers of the phases that wait for V(action=promote) before they begin. The run ends well and
        nobody watches meanwhile.
      - An approval is one of the image that runs then. A run that starts over with another one asks again.
    type: list
    elements: int
    default: []
  dark:
    description:
      - Duration of a first phase in which the version runs without any request.
    type: raw
  mirror:
    description:
      - A phase of copied requests, with C(percent), C(duration), C(min_requests). Only safe methods are
        copied.
    type: dict
  testers:
    description:
      - A phase that only requests with a header reach, with C(header), C(value), C(duration),
        C(min_requests).
    type: dict
  sticky:
    description:
      - Users stay with the version that answered them, by a cookie that both versions set, with C(cookie) and
        C(max_age) in seconds. The share of users at the canary follows the weight; at weight 0 nobody is
        pinned. Not with O(routes).
    type: dict
  errors:
    description:
      - Gate on failed requests, as the server and as its clients see them. Keys C(acceptable) (share
        that a healthy version may have, 0.005), C(limit) (share from which a version is sick, 0.02),
        C(odds_ratio) (3), C(compare) (with the concurrent stable version, true), C(burst) (1, how many
        errors come together in the mean, at least; what the stable version shows counts where it is more).
    type: dict
    default: {}
  latency:
    description:
      - Gate on slow requests. Keys as O(errors) (0.05 and 0.2), C(max_ms), above which a request is
        slow, and C(burst) (5), how many slow requests come together. Without C(max_ms) the bound is the
        histogram bucket above twice the stable version's p95, and only the comparison counts.
        Not given means no latency gate.
    type: dict
  queries:
    description:
      - Gates on own PromQL, each with C(name), C(query), C(min), C(max), C(failures). The query must
        answer with one number and may use C($service), C($namespace), C($canary_workload),
        C($stable_workload), C($canary), C($stable).
    type: list
    elements: dict
    default: []
  gates:
    description:
      - Gates that somebody outside of the mesh decides. Each has exactly one of C(url), C(command), and
        C(freeze) or C(only). An answer that is no clear one (no connection, a timeout, a redirect, HTTP 429
        or 503, exit code 75) is "cannot tell" and never a pass.
      - What decides (names, moments, phases, windows) stands in the journal of the run; how a gate is asked
        does not, so calls that continue a run need the same variables.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the gate, in messages and in the evidence.
        type: str
        required: true
      when:
        description:
          - When it is asked, in the words of Flagger. V(pre-rollout) is before the first share of the
            requests moves, V(confirm-traffic-increase) before each phase, V(rollout) during each phase,
            V(confirm-promotion) at the end of the last phase, V(post-rollout) after the end, whatever it is,
            and decides nothing. Default for C(freeze) and C(only) is V(pre-rollout),
            V(confirm-traffic-increase) and V(confirm-promotion).
        type: list
        elements: str
        choices: [pre-rollout, confirm-traffic-increase, rollout, confirm-promotion, post-rollout]
      phases:
        description:
          - Numbers of the phases that it is for. Default is all.
        type: list
        elements: int
      on_fail:
        description:
          - What a fail does. V(rollback) withdraws the version, V(wait) asks again for C(deadline) and
            withdraws it then. Default is V(wait) for windows and for gates that only confirm, else
            V(rollback).
        type: str
        choices: [rollback, wait]
      url:
        description:
          - An http or https URL that is asked. A status of 2xx passes, 4xx and 5xx fail, but 401, 404, 405,
            407, 408, 421, 425, 429, 502, 503 and 504 cannot tell. Redirects are not followed.
        type: str
      method:
        description:
          - V(POST) sends the facts of the run as JSON, V(GET) nothing.
        type: str
        choices: [POST, GET]
        default: POST
      headers:
        description:
          - Headers of the request; secret.
        type: dict
        default: {}
      metadata:
        description:
          - Texts for the field C(metadata) of the body, as Flagger's load tester reads it.
        type: dict
        default: {}
      ca_cert:
        description:
          - CA certificates for the URL, a PEM file where the task runs.
        type: path
      validate_certs:
        description:
          - Whether the URL's certificate is checked.
        type: bool
        default: true
      command:
        description:
          - Program and arguments, run where the task runs, without a shell. Exit code 0 passes, others fail,
            but 69, 75, 126, 127 and signals cannot tell. It gets the facts of the run as JSON on its standard
            input and as C(CANARY_SERVICE), C(CANARY_CANARY), C(CANARY_WEIGHT) and the like, a small
            environment, and is killed with all that it has started when it ends or at its timeout.
        type: list
        elements: str
      environment:
        description:
          - Variables for the command; secret.
        type: dict
        default: {}
      freeze:
        description:
          - Windows in which nothing goes on, each with C(days) (such as C(mon-fri)), C(from) and C(to) (times
            such as C("18:00"), or dates such as C(2026-12-24) or C(2026-12-24T18:00)).
        type: list
        elements: dict
      only:
        description:
          - Windows outside of which nothing goes on.
        type: list
        elements: dict
      timezone:
        description:
          - On whose clock the windows are read, such as C(Europe/Berlin). Default is UTC.
        type: str
      timeout:
        description:
          - Seconds that one asking may take, or text such as C(2m). Default is 10 for a URL, 60 for a
            command.
        type: raw
      interval:
        description:
          - Seconds between two askings. Default is 10.
        type: raw
      retries:
        description:
          - How often a fail is asked again before it counts.
        type: int
        default: 0
      deadline:
        description:
          - With V(on_fail=wait), seconds that the run waits. Default is 1800.
        type: raw
      repeat:
        description:
          - With V(rollout), ask again after a pass for as long as the phase lasts.
        type: bool
        default: false
      passes_on:
        description:
          - HTTP statuses or exit codes that pass, instead of 2xx and 0.
        type: list
        elements: int
      fails_on:
        description:
          - HTTP statuses or exit codes that fail, instead of the usual ones; others that do not pass cannot
            tell.
        type: list
        elements: int
  notify:
    description:
      - Who is told of a rollout. Each gets a POST with JSON. Notifications never delay or fail a rollout;
        what was not delivered is a warning.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description:
          - An http or https URL; secret.
        type: str
        required: true
      headers:
        description:
          - Headers of the request; secret.
        type: dict
        default: {}
      events:
        description:
          - What it is told of. Default is all.
        type: list
        elements: str
        choices:
          - started
          - resumed
          - phase_passed
          - waiting
          - paused
          - rolling_back
          - promoted
          - split
          - rolled_back
          - held
      ca_cert:
        description:
          - CA certificates for the URL, a PEM file where the task runs.
        type: path
      validate_certs:
        description:
          - Whether the URL's certificate is checked.
        type: bool
        default: true
      timeout:
        description:
          - Seconds that one attempt may take. Default is 5.
        type: raw
  alpha:
    description:
      - Probability that a healthy version is stopped, over all phases, looks and gates of the run.
    type: float
    default: 0.01
  power:
    description:
      - Probability that a version at the limit is not promoted.
    type: float
    default: 0.95
  mode:
    description:
      - V(fixed) compares each phase's share with the limit at its end, as other tools do, and gives no
        error rates.
    type: str
    choices: [sequential, fixed]
    default: sequential
  scrape_interval:
    description:
      - Seconds between two scrapes of one proxy.
    type: raw
    default: 15
  baseline:
    description:
      - Seconds of traffic that the preflight looks back at.
    type: raw
    default: 60
  low_traffic:
    description:
      - What happens when a phase has too few requests at its deadline. V(rollback) withdraws the
        version, and the preflight refuses a plan that the live traffic cannot fill in time.
    type: str
    choices: [rollback, promote_with_warning, synthetic]
    default: rollback
  synthetic:
    description:
      - For V(low_traffic=synthetic), who sends requests. Keys C(namespace), C(selector), C(container),
        C(command). The command runs in a ready pod of a caller at every look.
    type: dict
  deadline:
    description:
      - Seconds that the whole rollout may take, without the time in which it waits for a person. The
        preflight refuses a plan that cannot meet it at the live traffic; a run that exceeds it is withdrawn.
    type: raw
    default: 7200
  phase_deadline:
    description:
      - Seconds after which a phase without a pass is withdrawn.
    type: raw
    default: 1800
  unmeasurable:
    description:
      - Seconds that metrics may be missing before the version is withdrawn.
    type: raw
    default: 300
  ready_timeout:
    description:
      - Seconds to wait for ready endpoints before weight is put on a version, and before a stable version
        without any counts as down.
    type: raw
    default: 120
  propagation:
    description:
      - What a write does that the proxies cannot confirm (no right to forward ports to pods). V(require)
        withdraws the version, V(report) warns. Proxies that do not take a write withdraw it always.
    type: str
    choices: [require, report]
    default: require
  propagation_timeout:
    description:
      - Seconds until every proxy that matters must hold a write.
    type: raw
    default: 60
  propagation_max_proxies:
    description:
      - Above this number of proxies a sample is asked, and the result says so.
    type: int
    default: 200
  mtls:
    description:
      - Whether both versions must take mutual TLS only, by listeners and served certificates. V(auto)
        is V(require) where the service's mode is STRICT, else V(report).
    type: str
    choices: [auto, require, report, "off"]
    default: auto
  lease:
    description:
      - Seconds after which a silent runner counts as dead.
    type: raw
    default: 30
  resume_period:
    description:
      - Seconds between two runs of V(action=resume) on your schedule. Only for the announcement of how
        long a dead runner's split can stay.
    type: raw
    default: 60
  on_stop:
    description:
      - What a signal does, such as a cancelled job. V(leave) keeps the split for a later run.
    type: str
    choices: [rollback, leave]
    default: rollback
  gitops:
    description:
      - Whether a VirtualService that a GitOps controller keeps in sync is refused.
    type: str
    choices: [refuse, ignore]
    default: refuse
  routes:
    description:
      - A VirtualService that is not computed from the catalogue. Only the weights in it change, by JSON
        Patch.
    type: dict
    suboptions:
      name:
        description:
          - Name of the VirtualService.
        type: str
        required: true
      namespace:
        description:
          - Its namespace. Default is the service's.
        type: str
  scale:
    description:
      - Scaling of the two Deployments.
    type: dict
    suboptions:
      up:
        description:
          - Replicas of the canary before its first request, or C(minReplicas) of its HorizontalPodAutoscaler.
            After a rollback they are what they were.
        type: int
      down:
        description:
          - Scale the old version to 0 after the promotion.
        type: bool
        default: false
      delay:
        description:
          - So long the old version stays at least after the promotion, and a canary that was scaled up at
            most after a rollback. Seconds, or a duration such as V(2m).
        type: raw
        default: 30
      drain:
        description:
          - So long the old version stays at most after the promotion while it still serves requests, such as
            WebSockets and other streams; then they are cut off. Seconds, or a duration such as V(2m).
        type: raw
        default: 600
  capacity:
    description:
      - What happens to the size of the stable version while the canary has its requests.
      - With V(hold) the C(minReplicas) of its HorizontalPodAutoscaler is raised to the pods that it has when
        the rollout begins, and put back at the end; before requests come back to it, it has the pods for
        them. Replicas are never written beside an autoscaler, which would write them back. An autoscaler that
        belongs to somebody else, such as KEDA or a GitOps controller, is left alone, with a warning.
      - V(ignore) does nothing of that.
    type: str
    choices: [hold, ignore]
    default: hold
  deadman:
    description:
      - With V(job) a Job in the service's namespace gives the routes back when the runner's lease has stood
        still for O(lease) seconds, so that a dead runner needs no schedule. It is made before the first share
        moves and removed at the end.
    type: str
    choices: [none, job]
    default: none
  deadman_job:
    description:
      - The Job of O(deadman=job).
    type: dict
    suboptions:
      image:
        description:
          - Any image with C(python3), 3.11 or newer.
        type: str
        default: docker.io/library/python:3.13-slim
      service_account:
        description:
          - An account of the service's namespace with the rights in C(docs/rbac/deadman.yaml).
        type: str
        default: servicemesh-deadman
      image_pull_secrets:
        description:
          - Names of Secrets in the service's namespace.
        type: list
        elements: str
        default: []
      notify_secret:
        description:
          - A Secret in the service's namespace whose key C(url) says whom the Job tells what it did, with
            C(headers) (a JSON object) where it needs them.
        type: str
  evidence:
    description:
      - Directory for the evidence, one JSON and one HTML file per run, where the task runs.
    type: path
  by:
    description:
      - Who asks, for the journal.
    type: str
seealso:
  - module: servicemesh.istio.canary_info
"""

EXAMPLES = r"""
- name: Roll out v2 of the product service
  servicemesh.istio.canary:
    service: product-service
    version: v2
    catalogue:
      mesh_name: shop
      mesh_namespace: ecommerce
      mesh_services: "{{ mesh_services }}"
    prometheus:
      namespace: istio-system
      service: prometheus
    evidence: /var/log/rollouts

- name: Give all requests back to the stable version
  servicemesh.istio.canary:
    action: rollback
    service: product-service
    catalogue: "{{ canary_catalogue }}"

- name: Clean up after runners that died (on a schedule)
  servicemesh.istio.canary:
    action: resume
    catalogue: "{{ canary_catalogue }}"
"""

RETURN = r"""
status:
  description: V(pass) when the run ended as asked, V(fail) when the version was withdrawn or held.
  returned: always
  type: str
  sample: pass
outcome:
  description: >-
    V(promoted), V(split), V(rolled_back), V(held_on_canary) (the stable version is down, and the proved
    canary serves everybody), V(held_at_split) (neither version may take everything),
    V(awaiting_approval), V(paused), V(unchanged), V(planned) (check mode), V(held) (by another runner).
  returned: always
  type: str
  sample: promoted
reason:
  description: Why it ended so, in one sentence.
  returned: always
  type: str
  sample: every gate passed in phase 5
run:
  description: Id of the run.
  returned: always
  type: str
  sample: 20260101T120000-4f1c
counts:
  description: Requests and failures of both versions, and the share of all requests that the canary hurt.
  returned: when a run ended
  type: dict
  sample: {canary: {requests: 1450, failed: 0}, stable: {requests: 4350, failed: 3}, hurt: 0.0}
propagation_seconds:
  description: For each write, seconds until the last proxy held it.
  returned: when a run ended
  type: list
  elements: float
  sample: [0.8, 1.1]
seconds_to_weight_0:
  description: After a rollback, seconds from the decision to weight 0 at the last proxy.
  returned: when a run was rolled back
  type: float
  sample: 2.3
seconds_from_first_bad_window:
  description: >-
    After a rollback, seconds from the begin of the first metric window in which a request of the canary
    failed or was slow to weight 0 at the last proxy.
  returned: when a run was rolled back after such a window
  type: float
  sample: 17.4
api_calls:
  description: Calls to the API server in each phase.
  returned: when a run ended
  type: dict
  sample: {"phase 1": 42}
evidence:
  description: Paths of the evidence files.
  returned: when O(evidence) is given
  type: list
  elements: str
  sample: [/srv/evidence/product-service-20260101T120000-4f1c.json]
evidence_sha256:
  description: Hash of the evidence, as it stands in the release record.
  returned: when a run ended
  type: str
  sample: 9f2c...
plan:
  description: The phases, as filter P(servicemesh.istio.canary_phases#filter) gives them.
  returned: in check mode
  type: dict
  sample: {stable: v1, canary: v2, phases: [{weight: 10, seconds: 60}]}
services:
  description: With V(action=resume), one result per service that was cleaned up.
  returned: with V(action=resume)
  type: dict
  sample: {shop/product-service: {status: pass, outcome: rolled_back}}
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend as canary


def main() -> None:
    """Runs the backend."""
    run_module(canary)


if __name__ == "__main__":
    main()
