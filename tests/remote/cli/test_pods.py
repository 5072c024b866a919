"""What `pods` lists."""

from __future__ import annotations

import json

import pytest

from moola_remote.cli.error_handler import run
from tests.support.projects import Project

pytestmark = pytest.mark.process


def test_the_local_pod_is_listed_without_a_file(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def listed() -> list[str]:
        assert run(["--json", "pods"]) == 0
        return [json.loads(line)["pod"] for line in capsys.readouterr().out.splitlines()]

    (here.folder / "configs/pods/local.yaml").unlink()
    assert listed() == ["host", "local"]  # the project's own
    text = (here.folder / "pyproject.toml").read_text()
    here.write("pyproject.toml", text.replace('pod = "local"', 'pod = "host"'))
    assert listed() == ["host"]  # it was never made
    (here.state / "local-pod" / "root").mkdir(parents=True)
    assert listed() == ["host", "local"]
