"""Packages from an index with a password: installed, and the password is written nowhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from moola_remote.deploy.uv_lock import find_uv
from tests.support.package_index import IndexHandler, make_wheel, serving
from tests.support.projects import Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]

USER, PASSWORD = "reader", "tok-Q7/wertzuiop@A"
WHO = f"{USER}:{quote(PASSWORD, safe='')}"
NEEDED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PATH_TOKEN = "entitled-QWERTZ12345"
FORMS = [form.encode() for form in (PASSWORD, quote(PASSWORD, safe=""), PATH_TOKEN)]


class Private(IndexHandler):
    """Asks for the password; below a token, as some hosts have it, for none."""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer as an index of packages does."""
        token = f"/{PATH_TOKEN}/"
        if self.path.startswith(token):
            self.path = "/open/" + self.path.removeprefix(token)
        elif self.headers.get("Authorization") != NEEDED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=packages")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - http.server's name


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The host and port of an index with `lamp` and `oil`; below the token it has `wick` alone."""
    for name in ("lamp", "oil"):
        make_wheel(tmp_path / "index" / "simple" / name, name, "1.0")
    make_wheel(tmp_path / "index" / "open" / "simple" / "wick", "wick", "1.0")
    with serving(tmp_path / "index", Private) as address:
        yield address


def use(project: Project, requirements: str) -> None:
    """Have the project need that; it was committed, so that what comes after is a diff."""
    project.write("requirements.txt", "")
    project.write("pyproject.toml", f'[tool.moola-remote]\nrequirements = "{requirements}"\n')
    project.write("train.py", "import lamp\nprint('lit', lamp.VALUE)\n")


def leaks(*tops: Path) -> list[Path]:
    """Every file below that holds a secret, less the user's own list among the code."""
    files = [path for top in tops for path in top.rglob("*") if path.is_file()]
    assert len(files) > 20
    found = [path for path in files if any(form in path.read_bytes() for form in FORMS)]
    as_sent = {"code", "workdir", "files"}
    return [path for path in found if as_sent.isdisjoint(path.parts)]


def train(project: Project) -> str:
    """All that a run prints here, until its results are fetched."""
    done = project.run("-v", "run", "--", "python", "train.py")
    assert "lit 1" in done.stdout, done.stderr
    fetched = project.run("fetch", "results")
    shown = project.run("runs", "show", "--diff")
    return "".join(one.stdout + one.stderr for one in (done, fetched, shown))


@pytest.mark.parametrize(
    ("lines", "needed", "variables"),
    [
        (
            """--extra-index-url http://{who}@{host}/simple/
lamp
oil @ http://{who}@{host}/simple/oil/oil-1.0-py3-none-any.whl
""",
            "oil",
            {},
        ),
        (
            """--index-url=http://reader:${{WORD}}@{host}/simple/
--extra-index-url http://{host}/${{TOKEN}}/simple/
lamp
wick
""",
            "wick",
            {"WORD": WHO[7:], "TOKEN": PATH_TOKEN},
        ),
    ],
    ids=["written", "variables"],
)
def test_a_password_in_a_list_installs_and_is_written_nowhere(
    alone: Project, host: str, lines: str, needed: str, variables: dict[str, str]
) -> None:
    use(alone, "requirements.txt")
    alone.write("train.py", f"import lamp, {needed}\nprint('lit', lamp.VALUE * {needed}.VALUE)\n")
    alone.write("requirements.txt", lines.format(who=WHO, host=host))
    alone.env |= variables
    printed = train(alone)
    assert not any(form.decode() in printed for form in FORMS)
    assert leaks(alone.state, alone.folder / "results") == []


@pytest.mark.parametrize(
    "variables",
    [
        {"UV_INDEX_MY_OWN_USERNAME": USER, "UV_INDEX_MY_OWN_PASSWORD": PASSWORD},
        {"UV_INDEX": "other=http://{who}@{host}/simple/"},
    ],
    ids=["named", "index"],
)
def test_a_lock_of_a_private_index_needs_what_uv_needs_here(
    alone: Project, host: str, variables: dict[str, str]
) -> None:
    if find_uv() is None:
        pytest.skip("no uv here: pip install uv")
    use(alone, "uv.lock")
    alone.write(
        "pyproject.toml",
        f"""\
        [project]
        name = "two"
        version = "0"
        requires-python = ">=3.10"
        dependencies = ["lamp"]
        [[tool.uv.index]]
        name = "my-own"
        url = "http://{host}/simple/"
        [[tool.uv.index]]
        url = "http://{host}/without-a-name/"
        [tool.moola-remote]
        requirements = "uv.lock"
        """,
    )
    alone.write(
        "uv.lock",
        f"""\
        version = 1
        requires-python = ">=3.10"
        [[package]]
        name = "lamp"
        version = "1.0"
        source = {{ registry = "http://{host}/simple/" }}
        wheels = [{{ url = "http://{host}/simple/lamp/lamp-1.0-py3-none-any.whl" }}]
        [[package]]
        name = "two"
        version = "0"
        source = {{ virtual = "." }}
        dependencies = [{{ name = "lamp" }}]
        """,
    )
    alone.env |= {name: value.format(who=WHO, host=host) for name, value in variables.items()}
    printed = train(alone)
    assert not any(form.decode() in printed for form in FORMS)
    assert leaks(alone.state, alone.folder / "results") == []


def test_a_variable_without_a_value_is_named(alone: Project, host: str) -> None:
    use(alone, "requirements.txt")
    alone.write("requirements.txt", f"-i http://${{NO_SUCH_LOGIN}}@{host}/simple/\nlamp\n")
    said = alone.refused(10, "deploy")
    assert "${NO_SUCH_LOGIN} in the list of packages: set neither here nor on the pod" in said


def test_a_new_token_makes_no_new_environment(alone: Project, host: str) -> None:
    use(alone, "requirements.txt")
    alone.write("requirements.txt", f"-i http://${{INDEX_LOGIN}}@{host}/simple/\nlamp\n")
    alone.env["INDEX_LOGIN"] = WHO
    alone.ok("deploy")
    alone.env["INDEX_LOGIN"] = "reader:another-one"
    assert "making env" not in alone.run("deploy").stderr
