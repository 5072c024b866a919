"""The double of RunPod, with an OpenSSH server behind each pod's port."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.runpod_double import Double, Machine, serving
from tests.support.servers import SshMachine


@contextmanager
def double_over_ssh(folder: Path) -> Iterator[Double]:
    """RunPod, whose pods are OpenSSH servers with their files in `folder`.

    At the end nothing may have been asked of it that its OpenAPI does not have.
    """
    numbers = itertools.count()

    def make_machine() -> Machine:
        place = folder / f"machine-{next(numbers)}"
        place.mkdir()
        return SshMachine(place)

    with serving(Double()) as double:
        double.make_machine = make_machine
        yield double
        assert double.wrong == []
