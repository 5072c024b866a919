"""rsync's command lines, its progress and its exit codes; pure. `transport` and `bridge` run it.

What each flag keeps out was measured against a hostile sender: no links, devices, sockets, owners
or set-id bits, no file above a cap. ``-K`` is never used: with it, old versions write through
planted links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from moola_remote.errors import ConfigError, MoolaError, TransferError, UnreachableError

OLDEST = (3, 1, 0)  # the first with --info=progress2
# 3.4.0 mended CVE-2024-12084 to -12088 and -12747; a distribution may have mended an older one.
MENDED = (3, 4, 0)
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
    link_dest: PurePosixPath | None = None,
    compare_content: bool = False,
) -> list[str]:
    """Bring the content of `source` into the pod's `dest`, which is made.

    Args:
        source: a folder here.
        dest: a folder on the pod, absolute.
        rsh: rsync's ``-e``.
        from_list: only the files that come on stdin, NUL after each; else everything.
        link_dest: a folder on the pod whose equal files are linked rather than sent.
        compare_content: equal size and time are not enough to leave a file out.
    """
    return [
        *_common(),
        "--links",
        "--perms",
        "--chmod=D755,Fu=rwX,Fgo=rX",
        *(["--files-from=-", "--from0"] if from_list else ["--recursive"]),
        *([f"--link-dest={link_dest}"] if link_dest else []),
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
    """A command for ``-e``: rsync splits it at spaces itself, knows quotes and no backslashes."""
    return " ".join(
        f"'{word}'" if " " in word or "'" in word else word for word in map(_doubled, argv)
    )


def _doubled(word: str) -> str:
    return word.replace("'", "''")


def quote(word: str) -> str:
    """One word for the far ``sh``; as shlex.quote, but always within quotes."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def parse_progress(line: bytes) -> int | None:
    """The bytes of a line of ``--info=progress2``, or None if it is another line."""
    match = re.match(rb"\s*(\d+)\s+\d+%\s", line)
    return int(match[1]) if match else None


def parse_sent(line: bytes) -> int | None:
    """The bytes of the line ``Literal data: N bytes``: file content that went over the line."""
    match = re.match(rb"Literal data: (\d+) bytes", line)
    return int(match[1]) if match else None


def parse_version(text: str) -> tuple[int, ...] | None:
    """The version out of ``rsync --version``.

    >>> parse_version("rsync  version 3.2.7  protocol version 31")
    (3, 2, 7)
    """
    match = re.match(r"rsync\s+version v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


def check_version(version: tuple[int, ...] | None) -> None:
    """Refuse to work with a missing or too old rsync on this machine.

    Raises:
        ConfigError: it is missing (None), or too old.
    """
    cure = "apt-get install rsync (macOS: brew install rsync)"
    if version is None:
        raise ConfigError("rsync: not found on this machine, or not the one of samba.org", cure)
    shown = ".".join(map(str, version))
    if version < OLDEST:
        raise ConfigError(
            f"rsync {shown}: too old, expected {'.'.join(map(str, OLDEST))} or newer", cure
        )


def known_holes(version: tuple[int, ...] | str | None) -> str | None:
    """What to tell of an old rsync, this machine's or the pod's (as text), or None."""
    if isinstance(version, str):
        version = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])
    if not version or version >= MENDED:
        return None
    shown, mended = (".".join(map(str, one)) for one in (version, MENDED))
    return f"rsync {shown}: known holes before {mended}, unless the distribution mended them"


def failure(where: str, code: int, stderr: bytes) -> MoolaError:
    """What an exit code of rsync means; call it once the connection is known to be alive.

    Args:
        where: the pod and the folder, the beginning of the message.
        code: rsync's exit code; negative where a signal ended it.
        stderr: what it said, both sides'.
    """
    said = _said(stderr)
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return TransferError(f"{where}: the disk is full", "free some space, then run it again")
    if code == 127 or ("rsync" in said and "not found" in said):
        return UnreachableError(
            f"{where}: rsync is missing on the pod", "there: apt-get install rsync"
        )
    if code == 30:
        return UnreachableError(f"{where}: no data for {STALL_S} s")
    if "File too large" in said or code == -25:
        return TransferError(f"{where}: a file grew beyond what the pod had announced")
    if code == 2 or "is your shell clean" in said:
        return TransferError(
            f"{where}: what answers does not speak rsync's protocol",
            "make the pod's shell silent at start (.bashrc), or compare the versions of rsync",
        )
    if code in (23, 24):
        return TransferError(f"{where}: not everything could be sent, {said}", "run it again")
    return TransferError(f"{where}: rsync ended with {code}, {said or 'and said nothing'}")


def _said(stderr: bytes) -> str:
    """The first telling line, without control characters."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if not line.startswith("rsync error:")] or lines
    return telling[0].encode("unicode_escape").decode("ascii")[:300] if telling else ""
