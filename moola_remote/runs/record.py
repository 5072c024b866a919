"""What is on record of a run: all that is needed to judge it, and to run it again.

From the pod, or from ``results/`` once the pod is gone. Both were written by a machine that is not
trusted: parsed, bounded and made safe before anybody sees it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from moola_remote.config.paths import STATE
from moola_remote.config.typed import WrongValueError, plain, read_json, typed
from moola_remote.errors import ConfigError, TransferError
from moola_remote.files import atomic
from moola_remote.protocol.events import MAX_EVENT_BYTES, EventReader, RunEvent
from moola_remote.protocol.spec import MAX_BLOCK, Block, Machine, Spec
from moola_remote.protocol.state import RunState
from moola_remote.protocol.types import Remote

if TYPE_CHECKING:
    from moola_remote.pods.pod import Pod
logger = logging.getLogger(__name__)
MAX_SPEC_BYTES = 4 * 2**20


class Record(Remote, frozen=True):
    """A run on record: `state` is None where it isn't known, `run` until it has begun.

    `is_gone` says that it comes from files here, and is not on the pod.
    """

    spec: Spec
    is_gone: bool = False
    state: RunState | None = None
    config: Block | None = None
    run: RunEvent | None = None

    @property
    def machine(self) -> Machine:
        """What it ran on: the job's own word, and deploy's where the job says nothing."""
        if self.run is None:
            return self.spec.machine
        said = {name: self.run.versions.get(name) for name in ("python", "torch", "cuda")}
        known = {**said, "device": self.run.device or None}
        return structs.replace(
            self.spec.machine, **{name: value for name, value in known.items() if value}
        )

    @property
    def table(self) -> dict[str, Any]:
        """All that is shown of it; the spec's wishes for the end are the laptop's own."""
        table: dict[str, Any] = plain(self)
        for key in ("on_finish", "limits"):
            del table["spec"][key]
        return table


def find_record(pod: Pod, name: str | None, find_run: Callable[[str | None], RunState]) -> Record:
    """Return the record of the run that the user means: on the pod, else fetched, else noted here.

    Its spec is the one that this laptop sent, where it did: a pod's word could be another command.

    Raises:
        ConfigError: there is none, or several.
        TransferError: it can't be read.
    """
    try:
        run_id, folder = find_run(name).run_id, None
    except ConfigError:
        folder = _folder_here(pod, name)
        if folder is None:
            raise
        run_id = folder.name
    noted = _one_folder(pod.laptop.journals.glob("*/[!.]*"), run_id)
    own = _own_spec(noted)
    if folder is None:
        answer = pod.agent.call("show", run_id)
        record = read_record({**answer, **own}, f"run {run_id}")
        if noted and not own:
            keep_again(noted, answer["spec"], f"pod {pod.name}")
    else:
        record = structs.replace(read_folder(folder), **own)
    if record.spec.run_id != run_id:
        raise TransferError(f"run {run_id}: its spec is that of {record.spec.run_id}")
    return record


def _own_spec(noted: Path | None) -> dict[str, Spec]:
    """Return the spec noted here as a part of a record; empty where it is missing or damaged."""
    if noted is None:
        return {}
    with contextlib.suppress(TransferError):
        return {"spec": read_folder(noted).spec}
    return {}


def keep_again(noted: Path, spec: Any, source: str) -> None:
    """Replace a damaged spec among this laptop's notes, and say so.

    Args:
        noted: the folder of the notes on the run.
        spec: the run's, as another has it.
        source: who has it.
    """
    logger.warning("note: %s/spec.json: was damaged, the spec is that of %s", noted, source)
    with contextlib.suppress(OSError):  # a full disk is no reason to refuse
        atomic.write(noted / "spec.json", json.dumps(spec))


def codes_on_record(pod: Pod) -> set[str]:
    """Return the code of each run noted here or fetched to this project; unreadable ones left out.

    The notes are of every project and every pod of this laptop.
    """
    codes = set()
    for top, pattern in (
        (pod.laptop.journals, "*/*/spec.json"),
        (pod.project.results_folder, "*/spec.json"),
    ):
        for path in top.glob(pattern):
            with contextlib.suppress(OSError, ValueError):
                codes.add(typed(Spec, read_json(_head(path, MAX_SPEC_BYTES))).code)
    return {code for code in codes if code}


def _folder_here(pod: Pod, name: str | None) -> Path | None:
    if name is None:
        return None
    fetched = pod.project.results_folder.glob("[!.]*")
    return _one_folder(fetched, name) or _one_folder(pod.laptop.journals.glob("*/[!.]*"), name)


def _one_folder(folders: Iterable[Path], name: str) -> Path | None:
    """Return the only one with a spec whose name begins so."""
    begin = [path for path in folders if path.name.startswith(name)]
    found = [path for path in begin if (path / "spec.json").is_file()]
    return found[0] if len(found) == 1 else None


def read_record(answer: Mapping[str, Any], where: str) -> Record:
    """Return the agent's answer to ``show``.

    Raises:
        TransferError: it is none.
    """
    return _validate(answer, where)


def read_folder(folder: Path) -> Record:
    """Return the record of a run that was fetched, or noted when it was started.

    Raises:
        TransferError: its files can't be read.
    """
    try:
        spec = read_json(_head(folder / "spec.json", MAX_SPEC_BYTES))
    except (OSError, ValueError) as err:
        raise TransferError(f"{folder}/spec.json: can't be read") from err
    config = state = None
    with contextlib.suppress(OSError):
        config = _head(folder / "config.yaml", MAX_BLOCK).decode("utf-8", "replace")
    with contextlib.suppress(OSError, ValueError):
        state = read_json(_head(folder / STATE, MAX_SPEC_BYTES))
    record = {"spec": spec, "state": state, "config": config, "is_gone": True}
    return _validate({**record, "run": _run_event(folder / "events.jsonl")}, str(folder))


def _head(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _run_event(path: Path) -> RunEvent | None:
    """Return the last one: a run that was resumed says it again."""
    found, reader = None, EventReader()
    with contextlib.suppress(OSError), path.open("rb") as file:
        while block := file.read(MAX_EVENT_BYTES):
            found = next(
                (event for event in reversed(reader.feed(block)) if isinstance(event, RunEvent)),
                found,
            )
    return found


def _validate(record: Mapping[str, Any], where: str) -> Record:
    try:
        read = typed(Record, record)
        if not isinstance(record["spec"], Spec):  # is one where this laptop has noted it
            read = structs.replace(read, spec=Spec.of(record["spec"]))
    except WrongValueError as fault:
        raise TransferError(f"{where}: {fault}") from fault
    return read
