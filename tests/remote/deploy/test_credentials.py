"""Secrets in lists of packages: names stand for them, and go no further than the user says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from moola_remote.config.settings import Project
from moola_remote.config.typed import typed
from moola_remote.deploy import sealed_list
from moola_remote.deploy.credentials import (
    take_credentials,
    with_index_credentials,
    without_credentials,
)
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import reader_of
from moola_remote.deploy.deploy import dependencies_on_pod
from moola_remote.pods.pod import Pod
from moola_remote.text.redact import strike
from tests.support.declarations import declared

VARIABLES = {"LOGIN": "me:tok-4711x", "VERSION": "2.1", "PATH_TOKEN": "tok-0815y"}
HELD = "${MOOLA_CREDENTIALS_0}"


@pytest.mark.parametrize(
    ("line", "taken", "values"),
    [
        ("-i https://me:tok@h/simple", f"-i https://{HELD}@h/simple", ["me:tok"]),
        ("-i https://token@h/simple", f"-i https://{HELD}@h/simple", ["token"]),
        ("-i https://me@x.org:a@b@h:80/", f"-i https://{HELD}@h:80/", ["me@x.org:a@b"]),
        (
            "a @ git+https://${LOGIN}@h/a.git@v1",
            f"a @ git+https://{HELD}@h/a.git@v1",
            ["me:tok-4711x"],
        ),
        ("a @ git+ssh://git@h/a.git@v1", "a @ git+ssh://git@h/a.git@v1", []),
        ("a @ git+https://h/a.git@v1", "a @ git+https://h/a.git@v1", []),
        ("a==${VERSION}", "a==2.1", []),
        ("a==${OF_POD}", "a==${OF_POD}", []),
        ("-i https://${OF_POD}@h/", f"-i https://{HELD}@h/", ["${OF_POD}"]),
        ("${MOOLA_CODE}/libs/a-1.whl", "${MOOLA_CODE}/libs/a-1.whl", []),
    ],
)
def test_what_asks_is_taken_out_of_an_address(line: str, taken: str, values: list[str]) -> None:
    made = take_credentials(Dependencies(requirements=f"{line}\n"), VARIABLES)
    assert (made.requirements, list(made.credentials.values())) == (f"{taken}\n", values)


def test_who_asks_names_no_environment_and_what_a_path_says_does() -> None:
    def digest(line: str, **variables: str) -> str:
        return take_credentials(Dependencies(requirements=line), variables).digest("3.11")

    assert digest("-i https://${A}@h/s", A="x:1") == digest("-i https://y:2@h/s")
    assert digest("a @ https://h/${A}.whl", A="1") != digest("a @ https://h/${A}.whl", A="2")


def test_one_login_has_one_name_in_all_lists() -> None:
    lines = Dependencies(
        requirements="-i https://a:b@h/\n", constraints="x @ https://a:b@h/x.whl\n"
    )
    assert list(take_credentials(lines, {}).credentials) == ["MOOLA_CREDENTIALS_0"]


def test_what_was_taken_is_struck_out_of_what_is_printed() -> None:
    take_credentials(Dependencies(requirements="-i https://me:pa%40ss-word@h/\n"), {})
    assert strike("got pa@ss-word or me:pa%40ss-word") == "got *** or ***"


def test_a_users_list_names_the_users_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGIN", "me:tok-4711x")
    found = declared(tmp_path, {"requirements.txt": "-i https://${LOGIN}@h/simple\nsix\n"})
    assert found.credentials == {"MOOLA_CREDENTIALS_0": "me:tok-4711x"}
    assert "tok" not in repr(found)


def test_a_list_of_a_pod_is_told_no_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("-i https://${AWS_KEY}@h/\na==${AWS_KEY}\n")
    monkeypatch.setenv("AWS_KEY", "tok-4711x")
    monkeypatch.setattr(sealed_list, "SealedReader", lambda _, __: reader_of(tmp_path))
    pod = SimpleNamespace(project=typed(Project, {"folder": tmp_path}))
    found = dependencies_on_pod(cast("Pod", pod), "0" * 16)
    assert "tok-4711x" not in f"{found}{found.credentials}"


def test_a_text_is_shown_with_stars() -> None:
    assert (
        without_credentials("+-i https://a:b@h/\n https://h/a@1")
        == "+-i https://****@h/\n https://h/a@1"
    )


@pytest.mark.parametrize(
    ("variables", "who"),
    [
        ({"USERNAME": "token"}, "token@"),
        ({"PASSWORD": "a/b"}, ":a%2Fb@"),
        ({"USERNAME": "me", "PASSWORD": "tok"}, "me:tok@"),
        ({}, ""),
    ],
)
def test_a_login_of_an_index_may_be_a_name_or_a_password_alone(
    variables: dict[str, str], who: str
) -> None:
    held = {f"UV_INDEX_MY_OWN_{end}": value for end, value in variables.items()}
    text = "--extra-index-url https://h/simple\n"
    listed = with_index_credentials(text, {"https://h/simple": "my-own"}, held)
    assert listed == f"--extra-index-url https://{who}h/simple\n"
