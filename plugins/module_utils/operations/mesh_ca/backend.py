# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugs a CA into a mesh before its istiod starts, and changes the CA of a mesh that runs.

Backend of module ``mesh_ca``.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem, RefusedError
from ...fields import mapping_at
from ...kube.clock import timestamp
from ...kube.lease import Lease, new_identity
from ...kube.options import ConnectionOptions
from ...labels import COLLECTION, MANAGED_BY_LABEL
from ...model.certificates.mesh_ca import (
    PLUGGED,
    check_bundle,
    prints_of,
    same_names,
    secret_data,
)
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY, read_chain, rfc3339
from ..certificates.reading import agreed_time
from .journal import RotationJournal, read_journal
from .live import (
    MULTIROOT,
    LiveCa,
    is_on,
    istiod_environment,
    read_live,
    refuse_a_foreign_secret,
    refuse_an_unused_ca,
    refuse_other_authorities,
)
from .options import (
    ARGUMENT_SPEC,
    ISTIOD,
    PRESENT,
    PROVIDED,
    ROLLBACK,
    VARIABLES,
    MeshCaOptions,
    read_options,
)
from .proxies import HOLD, refuse_unread, survey
from .result import FRESH, PLANNED, PLUGGED_IN, ROLLED_BACK, ROTATED, WAITING, build_result
from .rights import refuse_without_rights
from .sequence import DONE, Sequence, finish, write_plugged
from .source import WantedCa, is_same, keep_root, settle_root, wanted_ca

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

__all__ = ["ARGUMENT_SPEC", "LEASE", "VARIABLES", "run"]

LEASE, LEASE_SECONDS = "servicemesh-mesh-ca", 60
LAST_ROTATION = "servicemesh.istio/last-rotation"


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``mesh_ca``.

    :returns: the module's result; see :func:`result.build_result`.
    :raises InputError: bad options, or a provided CA that must not be used.
    :raises RefusedError: the mesh runs with another CA, somebody else owns it, or the clocks disagree.
    :raises MeshError: a step of a rotation could not be proved. :raises WaitTimeout: istiod or a workload is
        late; the next run goes on.
    """
    if not HAS_CRYPTOGRAPHY:
        raise MeshError("the mesh's CA needs the Python package cryptography where the task runs")
    options = read_options(params)
    if options.source == ISTIOD and options.action == PRESENT:
        return build_result(FRESH, None, None)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        now = agreed_time(client, context.clock)
        live, journal = read_live(client, options.namespace), read_journal(client, options.namespace)
        if options.action == PRESENT:
            return _present(client, context, options, live, journal, now)
        if options.action == ROLLBACK and journal is None:
            context.warn("no rotation of the mesh's CA is under way: there is nothing to roll back")
            return build_result(FRESH, live.bundle, None, diff=context.diff_mode)
        return _rotate(client, context, options, live, journal, now)


def _present(
    client: KubeClient,
    context: Context,
    options: MeshCaOptions,
    live: LiveCa,
    journal: RotationJournal | None,
    now: datetime.datetime,
) -> dict[str, Any]:
    """The CA of an installation that is still to come; one that runs keeps its own."""
    if journal is not None:
        context.warn(f"a rotation of the mesh's CA is at stage {journal.current.name}: nothing is changed")
        return build_result(FRESH, live.bundle, journal, diff=context.diff_mode)
    wanted = wanted_ca(client, options, now, live.bundle)
    if not wanted.why:
        return build_result(FRESH, live.bundle, None, diff=context.diff_mode)
    if wanted.due:
        context.warn(f"the mesh's CA is to be made anew ({wanted.why}): run playbook rotate_mesh_ca.yml")
        return build_result(FRESH, live.bundle, None, diff=context.diff_mode)
    if (live.installed or live.plugged is not None) and not _restores(live, wanted):
        raise RefusedError(
            f"the mesh in namespace {options.namespace} has another CA already, and every proxy would refuse "
            f"those with a certificate of a new one ({wanted.why}): change it with playbook "
            "rotate_mesh_ca.yml, which keeps both valid meanwhile",
            rule="mesh-has-a-ca",
        )
    _plug_in(client, context, options, live, wanted)
    return build_result(PLUGGED_IN, wanted.bundle, None, before=None, why=wanted.why, diff=context.diff_mode)


def _restores(live: LiveCa, wanted: WantedCa) -> bool:
    """Whether the CA of a mesh that runs was lost, and the wanted one has the roots that proxies trust."""
    try:
        published = prints_of(read_chain(live.roots.encode()))
    except UnreadablePemError:
        return False
    return live.bundle is None and prints_of(wanted.bundle.trusted) == published


def _plug_in(
    client: KubeClient, context: Context, options: MeshCaOptions, live: LiveCa, wanted: WantedCa
) -> None:
    """Root first: what it has signed could never be renewed without it."""
    context.progress(f"Secret {options.namespace}/{PLUGGED}: the CA is plugged in, {wanted.why}")
    dry_run = context.check_mode
    if not live.exists:
        metadata = {"name": options.namespace, "labels": {MANAGED_BY_LABEL: COLLECTION}}
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, dry_run=dry_run)
    if wanted.root is not None and not dry_run:
        keep_root(client, options, wanted.root, rotation=False)
    if live.exists or not dry_run:
        data = secret_data(wanted.bundle, tls=False)
        write_plugged(client, options.namespace, None, data, options.mesh, dry_run=dry_run)


def _rotate(
    client: KubeClient,
    context: Context,
    options: MeshCaOptions,
    live: LiveCa,
    journal: RotationJournal | None,
    now: datetime.datetime,
) -> dict[str, Any]:
    refuse_other_authorities(live)
    if journal is None:
        wanted = _judged(client, options, live, now)
        if not wanted.why:
            return build_result(FRESH, live.bundle, None, diff=context.diff_mode)
    else:
        wanted = None
    refuse_without_rights(client, options)
    if context.check_mode:
        return _planned(client, context, options, live, journal, wanted, now)
    lease = Lease(
        client,
        context.clock,
        name=LEASE,
        namespace=options.namespace,
        mesh=options.mesh,
        what="the rotation of the mesh's CA",
        identity=new_identity(),
        duration=LEASE_SECONDS,
    )
    notes: dict[str, str] = {}
    lease.acquire(observe=True)
    try:
        outcome, journal, sequence = _under_lease(client, context, options, lease)
        if outcome in (ROTATED, ROLLED_BACK):
            notes = {LAST_ROTATION: timestamp(context.clock.now())}
    finally:
        lease.give_back(context.warn, notes)
    live = read_live(client, options.namespace)
    return build_result(
        outcome,
        live.bundle,
        journal if outcome == WAITING else None,
        before=journal.old if journal else None,
        survey=sequence.last if sequence else None,
        diff=context.diff_mode,
    )


def _judged(client: KubeClient, options: MeshCaOptions, live: LiveCa, now: datetime.datetime) -> WantedCa:
    """What the rotation is to lead to, with everything that speaks against it.

    :raises InputError: no CA was handed over, or one that must not be used.
    :raises RefusedError: the mesh's own CA is not one that can be left.
    """
    if options.source == ISTIOD:
        text = "is istiod, which renews its own CA under the same key: own or provided is another one"
        raise InputError([Problem("istio_ca_source", text, "required")])
    if options.source == PROVIDED and options.provided is None:
        text = "is needed for istio_ca_source: provided, as long as no rotation is under way"
        raise InputError([Problem("istio_ca_certificate", text, "required")])
    refuse_a_foreign_secret(live)
    refuse_an_unused_ca(live)
    wanted = wanted_ca(client, options, now, live.bundle)
    if wanted.why and live.bundle is not None:
        faults = [
            *(fault for fault in check_bundle(live.bundle, now) if fault.rule in ("key", "key-mismatch")),
            *same_names(live.bundle, wanted.bundle),
        ]
        if faults:
            raise RefusedError(f"the CA cannot be left: {faults[0].message}", rule=faults[0].rule)
    return wanted


def _under_lease(
    client: KubeClient, context: Context, options: MeshCaOptions, lease: Lease
) -> tuple[str, RotationJournal | None, Sequence | None]:
    """The run that writes. What was read before the Lease was ours may be another run's work by now.

    :returns: the outcome, the journal that was worked on, the sequence that did.
    """
    now = agreed_time(client, context.clock)
    live, journal = read_live(client, options.namespace), read_journal(client, options.namespace)
    lease.floor = lambda: journal.fence if journal is not None else 0
    if journal is None:
        if options.action == ROLLBACK:
            return FRESH, None, None
        wanted = _judged(client, options, live, now)
        if not wanted.why:
            return FRESH, None, None
        journal = _begin(client, options, live, wanted, now)

    def stop() -> bool:
        lease.renew_if_due()
        return context.stop()

    watched = dataclasses.replace(context, stop=stop)
    sequence = Sequence(client, watched, lease, options, journal)
    if options.action == ROLLBACK and not journal.back:
        _turn_back(live, journal, sequence)
    elif not journal.version:
        sequence.note()
    ended = sequence.run()
    if ended != DONE:
        return WAITING, journal, sequence
    lease.renew_if_due()
    settle_root(client, options, back=journal.back)
    finish(client, journal)
    if journal.back and options.action != ROLLBACK:
        context.warn("a rotation that was being rolled back is rolled back now; run again to begin anew")
    if not journal.back and options.provided is not None and not is_same(journal.new, options.provided):
        context.warn("a rotation to another CA was under way and has ended; run again for the provided one")
    return ROLLED_BACK if journal.back else ROTATED, journal, sequence


def _begin(
    client: KubeClient,
    options: MeshCaOptions,
    live: LiveCa,
    wanted: WantedCa,
    now: datetime.datetime,
) -> RotationJournal:
    """The intent. A new root is kept first: what is in the journal could not be renewed without it."""
    if live.bundle is None:
        raise MeshError(f"the CA in namespace {options.namespace} is gone")
    if wanted.root is not None:
        keep_root(client, options, wanted.root, rotation=True)
    switches = [is_on(istiod_environment(one), MULTIROOT) for one in live.istiods]
    return RotationJournal(
        namespace=options.namespace,
        mesh=options.mesh,
        old=live.bundle,
        new=wanted.bundle,
        before={str(key): str(value) for key, value in mapping_at(live.plugged, "data").items()},
        tls=live.plugged is not None and live.tls,
        live=all(switches),
        begun=rfc3339(now),
    )


def _turn_back(live: LiveCa, journal: RotationJournal, sequence: Sequence) -> None:
    """:raises RefusedError: the old root is gone from proxies: there is no way back, but another way on."""
    end = len(journal.stages) - 1
    given = dict(mapping_at(live.plugged, "data"))
    if journal.stage == end and journal.current.drop and given == journal.data_of(end):
        raise RefusedError(
            "the old root is being dropped, and proxies that trust the new one only are there: finish the "
            "rotation, then rotate to the old CA if you need it",
            rule="too-late",
        )
    sequence.note(stage=journal.stage - 1, back=True)


def _planned(
    client: KubeClient,
    context: Context,
    options: MeshCaOptions,
    live: LiveCa,
    journal: RotationJournal | None,
    wanted: WantedCa | None,
    now: datetime.datetime,
) -> dict[str, Any]:
    """Check mode: what would be done, and whether every proxy can be asked."""
    if journal is None and wanted is not None and live.bundle is not None:
        journal = RotationJournal(
            options.namespace, options.mesh, live.bundle, wanted.bundle, {}, False, False, rfc3339(now)
        )
    if journal is None:
        return build_result(FRESH, live.bundle, None, diff=context.diff_mode)
    found = survey(client, options.namespace, journal.current, frozenset({HOLD}))
    refuse_unread(found, journal.current)
    return build_result(
        PLANNED,
        journal.new,
        journal,
        before=journal.old,
        survey=found,
        why=wanted.why if wanted else "",
        diff=context.diff_mode,
    )
