"""`fovea serve`: every field of `fovea.serving.settings.Settings` is a flag of it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from fovea.cli.extras import require
from fovea.cli.setting_flags import add_settings, settings_of, variables
from fovea.runtime.cores import usable_cores
from fovea.runtime.load_places import MOST_PLACES
from fovea.runtime.trial_process import IDLE
from fovea.serving.environment import remarks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM; Misconfigured tells the first setting that is wrong."""
    settings = settings_of(arguments)
    require("serve", ("onnxruntime",), ("cpu", "gpu"))
    let_batches_run()
    if settings.control_mode != "explicit" or settings.load_models:
        prepare_trials(settings.repository)
    from fovea.serving.process import serve

    return serve(settings, remarks(os.environ, variables()))


def prepare_trials(repository: Path) -> None:
    """Start what will try the first models, which takes as long to import what it needs as this process does.

    Not where standard input, output or error is closed: a pipe would get its number.
    """
    with suppress(OSError):  # the server says what is wrong with its repository
        models = sum(1 for _ in repository.iterdir())
        for number in (0, 1, 2):
            os.fstat(number)
        IDLE.prepare(min(usable_cores(), MOST_PLACES, models))


def let_batches_run() -> None:
    """Ask Linux not to interrupt a running batch for every request that arrives; threads started later inherit it.

    With one core, 32 requests in flight and 0.14 ms a row: 0.1 context switches a request in place of 5.9, a quarter
    more rows a second; the median latency of a single request is no longer either.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # where it is forbidden, the server only switches more often
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
