"""A controller that is stopped and wakes up later, as a laptop or a virtual machine does.

``CANARY_LAB=NAME pytest tests/faults/test_canary_asleep.py -v -s`` (see canary_lab.py)
"""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from .canary_lab import SERVICE, Lab, descendants


@pytest.mark.parametrize("heir", ["canary_resume", ""])
def test_a_controller_that_sleeps_past_its_lease(lab: Lab, heir: str) -> None:
    """Stopped with its workers, and woken when the Lease has long run out. Where somebody has taken over, it
    writes nothing any more; where nobody has, it goes on."""
    lab.healthy()
    earlier = lab.journal().get("run")
    with lab.load() as load:
        runner = lab.start("canary", canary_lease=12, canary_duration=[10, 20, 10, 10, 10])
        pids = [runner.pid]
        try:
            lab.await_journal(lambda s: s.get("run") != earlier and s.get("phase") == 2)
            pids += descendants(runner.pid)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(15)
            if heir:
                code, output = lab.play(heir, canary_lease=12)
                assert code == 0, output[-3000:]
                assert lab.split() == {"v1": 100}
            journal, routes = lab.journal(), lab.get("virtualservice", f"{SERVICE}-routes")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        output = runner.communicate(timeout=400)[0]
    assert load["failed"] == 0, load["fails"]
    if not heir:
        assert runner.returncode == 0, output[-3000:]
        assert lab.split() == {"v2": 100}
        return
    assert runner.returncode == 2, output[-3000:]
    assert re.search("has taken over|lost its lease|bears fence", output), output[-3000:]
    assert lab.journal() == journal
    assert lab.get("virtualservice", f"{SERVICE}-routes") == routes
