"""Settings: what is read, where a project is found, how a wrong value is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.config.settings import find_project, load_pod
from moola_remote.errors import ConfigError
from tests.support.projects import Project, make_project

pytestmark = pytest.mark.process


@pytest.fixture
def files(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", tmp_path / "state")


def test_a_project_is_found_from_any_folder_below(files: Project) -> None:
    files.write("tiny/pyproject.toml", "[tool.other]\n")
    project = find_project(files.folder / "tiny")
    assert project.folder == files.folder
    assert project.results_folder == files.folder / "results"
    assert project.data == {"numbers": [Path("no/such/folder"), Path("data/numbers")]}


def test_our_own_project_trains_span(files: Project) -> None:
    project = find_project(Path(__file__))
    assert (project.recipe, project.job, project.pod) == ("span", "jobs.train", "local")
    assert project.requirements is not None
    assert (project.folder / project.requirements).is_file()


def test_a_pod_has_the_name_of_its_file(files: Project) -> None:
    pod = load_pod(find_project(files.folder), "host")
    assert (pod.name, pod.provider, pod.port) == ("host", "ssh", 1)


def test_an_unknown_pod_of_the_projects_settings_names_their_file(files: Project) -> None:
    files.write("pyproject.toml", '[tool.moola-remote]\npod = "hsot"\n')
    project = find_project(files.folder)
    with pytest.raises(ConfigError) as caught:
        load_pod(project, project.pod)
    said = "pod 'hsot': unknown, expected one of host, local; did you mean host?"
    assert str(caught.value) == f"{files.folder}/pyproject.toml: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider: ssh\nport: 70000\n", "port: expected at most 65535, got 70000"),
        ("provider: ssh\nport: x\n", "port: expected a whole number or nothing, got 'x'"),
        ("provider: ssh\nroot: relative\n", "root: expected text that matches '^/"),
        ("provider: ssh\nhost_key: MD5:aa\n", "host_key: expected text that matches '^SHA256:"),
        ("{}", "provider: missing"),
        ("", "expected keys and values, got NoneType"),
        ("1: 2\n", "unknown key 1, expected one of provider, host"),
        ("a: !!python/object/apply:os.getcwd []\n", "not YAML"),
    ],
)
def test_a_wrong_value_is_reported_with_file_and_key(files: Project, text: str, said: str) -> None:
    files.write("configs/pods/host.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_pod(find_project(files.folder), "host")
    assert "configs/pods/host.yaml: " in caught.value.message
    assert said in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_machine_of_ones_own_has_no_number(files: Project) -> None:
    files.write("configs/pods/far.yaml", "provider: ssh\nhost: far\n")
    with pytest.raises(
        ConfigError, match=r"pod far\.2: .*far\.yaml is one machine, expected 'far'"
    ):
        load_pod(find_project(files.folder), "far.2")
    files.write("configs/pods/far.2.yaml", "provider: ssh\nhost: nearer\n")
    assert load_pod(find_project(files.folder), "far.2").host == "nearer"


def test_what_is_no_text_is_reported(files: Project) -> None:
    (files.folder / "configs/pods/host.yaml").write_bytes(b"provider: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 text at byte 10"):
        load_pod(find_project(files.folder), "host")


def test_settings_that_windows_has_saved_are_read(files: Project) -> None:
    (files.folder / "pyproject.toml").write_bytes(
        b"\xef\xbb\xbf[tool.moola-remote]\r\npod = 'host'\r\n"
    )
    assert find_project(files.folder).pod == "host"
    (files.folder / "pyproject.toml").write_bytes("[tool.moola-remote]\n".encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8 text at byte 0; save it as UTF-8"):
        find_project(files.folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[data]\n"a/b" = ["x"]\n', "expected a name of one folder"),
        ('[data]\n".." = ["x"]\n', "expected a name of one folder"),
        ('[data]\n"" = ["x"]\n', "expected a name of one folder"),
        ('results = "."\n', "expected a folder of its own"),
        ('results = ""\n', "expected a folder of its own"),
    ],
)
def test_a_name_that_can_be_no_folder_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "moola-remote.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        find_project(tmp_path)
    assert "\n" not in str(caught.value)
