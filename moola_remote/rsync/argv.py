"""rsync's command lines, its progress and its exit codes; pure. `process` runs it.

What each flag keeps out was measured against a hostile sender: no links, devices, sockets, owners
or set-id bits, no file above a cap. ``-K`` is never used: with it, old versions write through
planted links.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

STALL_S = 60
PARTIAL_DIR = ".rsync-partial"
HOST = "pod"


def _common() -> list[str]:
    return [
        "rsync",
        "--times",
        "--omit-dir-times",
        "--protect-args",
        "--no-human-readable",
        "--info=progress2,stats2",
        f"--partial-dir={PARTIAL_DIR}",
        f"--timeout={STALL_S}",
    ]


def push_argv(
    source: Path,
    dest: PurePosixPath,
    *,
    rsh: str,
    from_list: bool,
    link_dests: Sequence[PurePosixPath] = (),
    compare_content: bool = False,
) -> list[str]:
    """Bring the content of `source` into the pod's `dest`, which is made.

    Args:
        source: a folder here.
        dest: a folder on the pod, absolute.
        rsh: rsync's ``-e``.
        from_list: only the files that come on stdin, NUL after each; else everything.
        link_dests: folders on the pod whose equal files are linked rather than sent, 20 at most.
        compare_content: equal size and time are not enough to leave a file out.
    """
    return [
        *_common(),
        "--links",
        "--perms",
        "--chmod=D755,Fu=rwX,Fgo=rX",
        *(["--files-from=-", "--from0"] if from_list else ["--recursive"]),
        *(f"--link-dest={folder}" for folder in link_dests),
        *(["--checksum"] if compare_content else []),
        f"--rsh={rsh}",
        f"--rsync-path=mkdir -p {quote(str(dest))} && rsync",
        f"{source}/",
        f"{HOST}:{dest}/",
    ]


def pull_argv(source: PurePosixPath, dest: Path, *, rsh: str, max_file: int) -> list[str]:
    """Bring the files that come on stdin, NUL after each, from the pod's `source` into `dest`.

    Args:
        source: a folder on the pod, absolute.
        dest: a folder here.
        rsh: rsync's ``-e``.
        max_file: bytes; larger files are left out, and a file that grows beyond it ends rsync.
    """
    # --max-size looks at the sender's listing alone; the limit holds whatever is sent.
    limit = ["sh", "-c", f'ulimit -f {max_file // 512 + 1} && exec "$@"', "sh"]
    return [
        *limit,
        *_common(),
        "--files-from=-",
        "--from0",
        "--no-implied-dirs",
        "--no-links",
        "--no-devices",
        "--no-specials",
        "--no-owner",
        "--no-group",
        "--no-perms",
        "--chmod=D700,F600",
        f"--max-size={max_file}",
        f"--rsh={rsh}",
        f"{HOST}:{source}/",
        f"{dest}/",
    ]


def rsh_option(argv: Sequence[str]) -> str:
    """Return a command for ``-e``: rsync splits it at spaces, knows quotes and no backslashes."""
    return " ".join(
        f"'{word}'" if " " in word or "'" in word else word for word in map(_doubled, argv)
    )


def _doubled(word: str) -> str:
    return word.replace("'", "''")


def quote(word: str) -> str:
    """One word for the far ``sh``; as shlex.quote, but always within quotes."""
    return "'" + word.replace("'", "'\"'\"'") + "'"
