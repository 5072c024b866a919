"""Resume a run that ended too early: as a new run, on the same pod or on another.

What the parent stood on is found where it still is: on this pod, on this laptop, or on the parent's
pod. Trees are named by their content, so that the run resumes with exactly the code and the data
that it was begun with. The parent's spec is the laptop's own where it has one: what a pod says of
it would be run on another.
"""

from __future__ import annotations

from collections.abc import Mapping

from moola_remote.deploy import deploy
from moola_remote.errors import ConfigError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.label import label_of
from moola_remote.protocol.spec import Spec, new_run_id, who_asks
from moola_remote.runs.parents import Parent
from moola_remote.text.sanitize import safe


def require_secrets(parent: Parent, given: Mapping[str, str]) -> None:
    """Raise a ConfigError unless each secret of the parent is given again: none was kept."""
    missing = [name for name in parent.spec.secret_names if name not in given]
    if missing:
        again = safe(" ".join(f"--secret {name}" for name in missing), 300)
        raise ConfigError(
            f"run {parent.run_id}: it was given secrets, none of which was kept", again
        )


def make_spec(
    pod: Pod, parent: Parent, deployed: deploy.Deployed, checkpoints: str | None, label: str = ""
) -> Spec:
    """Return the spec of the resumed run: its parent's, with the deployed trees.

    Args:
        pod: the pod to resume on.
        parent: the run.
        deployed: what is on that pod.
        checkpoints: the digest of those that were sent; None where the parent's lie there.
        label: a word for its id; empty takes the recipe, or the command.
    """
    label = label or parent.spec.recipe or label_of(parent.spec.argv)
    return parent.spec.changed(
        **deployed.trees,
        **who_asks(),
        run_id=new_run_id(label),
        parent=parent.run_id,
        checkpoints=checkpoints,
        machine=deployed.machine,
        packages=deployed.environment.packages,
        price_per_hour=pod.endpoint.price_per_hour,
    )
