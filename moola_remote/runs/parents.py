"""The run that another one resumes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from moola_remote.agent_client.verbs import get_state, list_page
from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.spec import Spec
from moola_remote.runs.record import keep_again
from moola_remote.runs.select import resolve
from moola_remote.ssh.read_file import read_file
from moola_remote.text.sanitize import safe

logger = logging.getLogger(__name__)

MAX_SPEC_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Parent:
    """A run to resume: its id, its spec, and its pod, None where that is unreachable.

    `is_here` says that its pod is the one to resume on.
    """

    run_id: str
    spec: Spec
    pod: Pod | None
    is_here: bool


@contextlib.contextmanager
def find_parent(pod: Pod, name: str | None) -> Iterator[Parent]:
    """Find the run that the user means: on this pod, or on another that this laptop knows.

    Args:
        pod: the pod to resume on.
        name: a run id or its beginning; None is this pod's latest.

    Raises:
        ConfigError: it is unknown, or needs no resuming.
    """
    if name is None or list_page(pod.agent, last=1, prefix=name).states:
        state = resolve(pod.agent, name)
        _require_ended_early(state.run_id, state.state)
        yield Parent(state.run_id, _spec_of(pod, state.run_id, pod), pod, is_here=True)
        return
    run_id, pod_name = _look_on_laptop(pod, name)
    with contextlib.ExitStack() as stack:
        # Where it was on this very pod, the pod is another one by now.
        far = _reach(pod, pod_name, run_id) if pod_name and pod_name != pod.name else None
        if far:
            stack.enter_context(far)
        yield Parent(run_id, _spec_of(pod, run_id, far, pod_name), far, is_here=False)


def _require_ended_early(run_id: str, state: str) -> None:
    if state == "SUCCEEDED":
        raise ConfigError(f"run {run_id}: has succeeded, there is nothing to resume")
    if state in ("QUEUED", "PREPARING", "RUNNING"):
        raise ConfigError(f"run {run_id}: {state}, it is still running", "moola-remote attach")


def _look_on_laptop(pod: Pod, name: str) -> tuple[str, str | None]:
    """Return the id of a run of another pod, and that pod; None where only its results are here."""
    pods = {path.name: path.parent.name for path in pod.laptop.journals.glob(f"*/{name}*")}
    fetched = {path.name for path in pod.project.results_folder.glob(f"{name}*")}
    found = sorted({*pods, *fetched})
    if not found:
        raise ConfigError(
            f"run {safe(name, 80)}: unknown on pod {pod.name} and on this laptop",
            "see them with: moola-remote --pod NAME runs",
        )
    if len(found) > 1:
        several = ", ".join(found[-3:])
        begins = f"run {safe(name, 80)}: {len(found)} begin so, the newest: {several}"
        raise ConfigError(begins, "name one")
    return found[0], pods.get(found[0])


def _reach(pod: Pod, name: str, run_id: str) -> Pod | None:
    """Return the parent's pod, if it is up; it is not started for this."""
    far = pod.other(name)
    try:
        _require_ended_early(run_id, get_state(far.agent, run_id).state)
    except UnreachableError as err:
        logger.info("pod %s: %s", name, err)
        far.close()
        return None
    return far


def _spec_of(pod: Pod, run_id: str, far: Pod | None, pod_name: str | None = None) -> Spec:
    """Return the parent's spec: this laptop's own, the fetched one, or what its pod says."""
    pod_name = pod_name or (far.name if far else "")
    noted = pod.laptop.journal(pod_name, run_id)
    damaged: ConfigError | None = None
    for folder in (noted, pod.project.results_folder / run_id):
        path = folder / "spec.json"
        try:
            spec = Spec.read(path.read_bytes(), str(path))
        except FileNotFoundError:
            continue
        except OSError as err:
            damaged = damaged or ConfigError(f"{path}: can't be read, {err.strerror}")
        except ConfigError as err:
            damaged = damaged or err
        else:
            if damaged:
                keep_again(noted, spec.whole, str(folder))
            return spec
    if far is None:
        raise damaged or ConfigError(
            f"run {run_id}: its pod can't be reached, and this laptop has no file of it"
        )
    path_there = far.agent.folder.run(run_id).spec
    content = read_file(far.transport, path_there, MAX_SPEC_BYTES)
    spec = Spec.read(content, f"pod: {path_there}")
    if damaged and noted.is_dir():
        keep_again(noted, spec.whole, f"pod {far.name}")
    return spec
