"""What lies where below the data folder: folders with their owners, the lock, the passwords, the programs."""

import hashlib
import importlib.util
import os
import pathlib
import re
import secrets
import shutil
import stat

import msgspec

from core.embedded.account import Account, choose_account
from core.embedded.process import EmbeddedError, folder_error

SOCKET_FOLDER_LIMIT_BYTES = 80
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")
NOT_COPIED = ("include", "pgxs", "pkgconfig", "*.a")


class Passwords(msgspec.Struct, frozen=True):
    """Passwords of the roles postgres, jishi_owner and jishi_app."""

    postgres: str
    owner: str
    app: str


class Layout(msgspec.Struct, frozen=True):
    """Folders that exist and belong to who needs them."""

    data: pathlib.Path
    run: pathlib.Path
    account: Account

    @property
    def pg(self) -> pathlib.Path:
        return self.data / "pg"

    @property
    def valkey(self) -> pathlib.Path:
        return self.data / "valkey"

    @property
    def logs(self) -> pathlib.Path:
        return self.data / "logs"

    def own(self, folder: pathlib.Path) -> None:
        """Make ``folder`` for the engines' user alone. Raises EmbeddedError if it is somebody else's."""
        _own(folder, self.account)


def _own(folder: pathlib.Path, account: Account) -> None:
    try:
        folder.mkdir(mode=0o700)
        if account.dropped:
            os.chown(folder, account.uid, account.gid)
    except FileExistsError:
        pass
    status = folder.lstat()
    if account.dropped and status.st_uid == 0 and stat.S_ISDIR(status.st_mode) and not any(folder.iterdir()):
        os.chown(folder, account.uid, account.gid)  # killed between the two steps above
    elif status.st_uid != account.uid or not stat.S_ISDIR(status.st_mode):
        raise EmbeddedError(
            f"{folder} does not belong to the user of the engines (number {account.uid}): start as its "
            "owner, remove it, or set JISHI_DATA to another folder."
        )


def make_layout(data: pathlib.Path) -> Layout:
    """Make the folders below ``data``, which exists. Raises EmbeddedError, OSError."""
    account = choose_account([data / "pg", data / "valkey"])
    (data / "logs").mkdir(mode=0o700, exist_ok=True)
    run = data / "run"
    short = len(os.fsencode(run)) <= SOCKET_FOLDER_LIMIT_BYTES
    if not short or not PLAIN_PATH.fullmatch(str(run)) or not account.reaches(data):
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
        run = pathlib.Path("/tmp") / f"jishi-{digest}"  # noqa: S108 - checked to be the engines' user's own
    _own(run, account)
    run.chmod(0o700)
    return Layout(data, run, account)


def take_lock(data: pathlib.Path) -> int:
    """File descriptor that holds ``data/lock``. Raises EmbeddedError while another process holds it."""
    import fcntl  # absent on Windows

    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        raise EmbeddedError(
            f"Jishi is already running on this folder (pid {pid}), {data}: stop it or set JISHI_DATA to "
            "another folder."
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def load_passwords(data: pathlib.Path) -> tuple[Passwords, bool]:
    """The kept passwords and whether they are new. Raises EmbeddedError if the file is damaged."""
    path = data / "secrets"
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Passwords), False
        except msgspec.DecodeError as error:
            raise EmbeddedError(
                f"{path} is damaged: remove it, new passwords are then made and set at the next start."
            ) from error
    passwords = Passwords(*(secrets.token_hex(20) for _ in range(3)))
    draft = data / "secrets.new"
    write_private(draft, msgspec.json.encode(passwords))
    draft.replace(path)
    return passwords, True


def write_private(path: pathlib.Path, content: bytes, account: Account | None = None) -> None:
    """A new file with mode 0600, of ``account`` if given; never written through somebody's link."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        if account is not None and account.dropped:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def find_program(package: str, pattern: str, setting: str) -> pathlib.Path:
    """The file ``pattern`` of an installed package, which is not imported. Raises EmbeddedError."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for found in sorted(pathlib.Path(folder).glob(pattern)):
            return found
    raise EmbeddedError(
        f"No {pattern.rpartition('/')[2]} program for this platform in the package {package}: install the "
        f"requirements of Jishi again, or set {setting} to a server of your own."
    )


def executable_copy(layout: Layout, program: pathlib.Path, trees: list[pathlib.Path]) -> pathlib.Path:
    """``program``, or its copy if the engines' user cannot execute it.

    ``trees`` are the folders it needs, its own first; they keep their places relative to each other, by which
    it finds its libraries. Those that do not exist are left out. Raises EmbeddedError.
    """
    if layout.account.reaches(program, read=True):
        return program
    lasting = layout.account.reaches(layout.data)
    engines = layout.data / "engines" if lasting else layout.run.with_name(f"{layout.run.name}-engines")
    status = program.stat()
    version = f"{program}:{status.st_size}:{status.st_mtime_ns}".encode()
    copy = engines / f"{program.name}-{hashlib.sha256(version).hexdigest()[:16]}"
    try:
        _make_ours(engines)
        # Cleaners of /tmp remove single files, so a copy there is made anew for each run.
        if not copy.exists() or not lasting:
            _copy_trees(trees, copy, program.name)
    except OSError as error:
        raise folder_error(error, engines) from error
    return copy / program.relative_to(_common(trees))


def _make_ours(folder: pathlib.Path) -> None:
    folder.mkdir(exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it and start again.")
    folder.chmod(0o755)


def _common(trees: list[pathlib.Path]) -> pathlib.Path:
    return pathlib.Path(os.path.commonpath(trees))


def _copy_trees(trees: list[pathlib.Path], copy: pathlib.Path, name: str) -> None:
    for old in copy.parent.glob(f"{name}-*"):
        shutil.rmtree(old)
    draft = copy.with_name(f"{name}-new")
    base = _common(trees)
    ignore = shutil.ignore_patterns(*NOT_COPIED)
    for tree in trees:
        if tree.is_dir():
            shutil.copytree(tree, draft / tree.relative_to(base), symlinks=True, ignore=ignore)
    for folder in [draft, *draft.rglob("*/")]:
        if not folder.is_symlink():
            folder.chmod(0o755)
    draft.replace(copy)
