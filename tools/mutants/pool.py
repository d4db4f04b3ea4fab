"""The workers: one process for each copy of the tree, fed by a thread of its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

from ..processes import end_with_parent
from ..screen import SetupError

Task = Mapping[str, Any]
Answer = dict[str, Any]


class Worker:
    """One `tools.mutants.worker` in its copy of the tree."""

    def __init__(self, tree: Path, temporary: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutants.worker"],
            cwd=tree,
            env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(temporary), "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - workers start before there are threads
        )
        self._tasks = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        self._line()

    def ask(self, task: Task) -> Answer:
        """Hand one task over and wait for its answer."""
        self._tasks.write(json.dumps(task) + "\n")
        self._tasks.flush()
        answer: Answer = json.loads(self._line())
        if "trouble" in answer:
            raise SetupError(f"the tests could not be run: {answer['trouble']}")
        return answer

    def close(self) -> None:
        """End the process; a task that it works on is given up."""
        self._process.terminate()
        self._process.wait()

    def _line(self) -> str:
        line = self._answers.readline()
        if not line:
            raise SetupError(f"a worker of the mutation tests ended with {self._process.wait()}")
        return line


class Pool:
    """Workers that share a list of tasks."""

    def __init__(self, trees: Sequence[Path], temporary: Path) -> None:
        self._stack = ExitStack()
        self._workers: list[Worker] = []
        for tree in trees:
            self._workers.append(Worker(tree, temporary))
            self._stack.callback(self._workers[-1].close)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, jobs: Iterable[Callable[[Worker], None]]) -> None:
        """Do every job with whatever worker is free; the first error of one ends them all."""
        waiting: queue.SimpleQueue[Callable[[Worker], None]] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        errors: list[BaseException] = []

        def work(worker: Worker) -> None:
            while not errors:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    job(worker)
                except BaseException as error:  # carried to the thread that waits
                    errors.append(error)

        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # so that an interruption is heard
        if errors:
            raise errors[0]
