"""What a pod lacks, found before anything is sent or trained; each with its cure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError, LimitError, UnreachableError
from moola_remote.protocol.refusal import MAKE_WRITABLE, says_full, word_of
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.protocol.answers import PodInfo, Torch
logger = logging.getLogger(__name__)
# For logs, checkpoints and the environment beside what is sent.
SPARE_BYTES = 500_000_000
# So much is tried by every probe.
TRIED_BYTES = 16 * 2**20
# To try more could take minutes on a volume over the network, which writes what others reserve.
MAX_TRIED_BYTES = 2 * 10**9
ROOM_TIMEOUT_S = 300.0


def check_pod(name: str, facts: PodInfo, to_send: int = 0) -> None:
    """Whether a deploy can work.

    Args:
        name: the pod's.
        facts: what it says of itself.
        to_send: bytes that are not there yet.

    Raises:
        UnreachableError: no rsync.
        ConfigError: no module for virtual environments, or the root can't be written to.
        LimitError: the volume is full, or has no room for what is sent.
    """
    if not facts.rsync:
        raise UnreachableError(f"pod {name}: no rsync on the pod", "there: apt-get install rsync")
    if not facts.has_venv:
        raise ConfigError(
            f"pod {name}: its Python {facts.python} has no module venv",
            "there: apt-get install python3-venv; or name another `python` in the pod's file",
        )
    if facts.write_error and not says_full(facts.write_error):
        raise _unwritable(name, facts.write_error)
    if facts.write_error:
        raise LimitError(
            f"pod {name}: not even 16 MB can be written below its root, {facts.write_error}",
            "remove runs and old code there, or make the volume or its quota larger",
        )
    if facts.noexec:
        # What the image has can still be used, so a run may well do without.
        logger.warning(
            "pod %s: its root is mounted noexec: packages with compiled code can't be loaded from "
            "there; name another folder as `root` in the pod's file",
            name,
        )
    needed = to_send + SPARE_BYTES
    if to_send and facts.disk_free is not None and facts.disk_free < needed:
        raise LimitError(
            f"pod {name}: {facts.disk_free / 1e9:.1f} GB free, "
            f"expected {needed / 1e9:.1f} GB for what is sent and what a run writes",
            "remove runs and old code there, or make the volume larger",
        )


def check_room(name: str, agent: Agent, to_send: int) -> None:
    """Check by trying that the pod has room: a network volume reports the disk of all.

    Args:
        name: the pod's.
        agent: on it.
        to_send: bytes that are not there yet; where they are few, the probe has tried already.

    Raises:
        LimitError: it doesn't.
        ConfigError: the root can't be written to.
    """
    if to_send <= TRIED_BYTES:
        return
    size = min(to_send + SPARE_BYTES, MAX_TRIED_BYTES)
    found = agent.call("room", str(size), timeout_s=ROOM_TIMEOUT_S).get("write_error")
    if found is None:
        return
    why = safe(word_of(found), 200)
    if not says_full(why):
        raise _unwritable(name, why)
    raise LimitError(
        f"pod {name}: {size / 1e9:.1f} GB can't be written below its root, "
        f"{why}; expected room for what is sent and what a run writes",
        "remove runs with moola-remote clean, or make the volume or its quota larger",
    )


def _unwritable(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"pod {name}: nothing can be written below its root, {why}",
        MAKE_WRITABLE,
    )


def check_gpu(name: str, facts: PodInfo, torch: Torch | None) -> None:
    """Whether the environment's torch can use the GPU that is paid for.

    Raises:
        ConfigError: it can't; the driver is older than its CUDA, or it was built without.
    """
    if not facts.gpus or torch is None or torch.device not in ("cpu", None):
        return
    if torch.cuda is None:
        why, cure = "was built without CUDA", "let the image's torch be: don't pin it for the job"
    else:
        driver = facts.cuda_driver or "unknown"
        why = f"is for CUDA {torch.cuda}, the host's driver knows {driver}"
        cure = "rent with `cuda` of the image in the pod's file, or take an older image"
    raise ConfigError(
        f"pod {name}: torch {torch.version} can't use its {facts.gpus[0].name}: it {why}", cure
    )
