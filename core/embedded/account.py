"""The operating system user that the engines run as, and what it can reach."""

import os
import pathlib
import stat

import msgspec


class Account(msgspec.Struct, frozen=True):
    """``dropped``: we are root and the engines are not (PostgreSQL refuses to run as root)."""

    uid: int
    gid: int
    dropped: bool

    def reaches(self, path: pathlib.Path, *, read: bool = False) -> bool:
        """Whether this user can enter every folder above ``path``, and execute (and read) ``path``."""
        if not self.dropped:
            return True
        real = path.resolve()
        bits = 0o5 if read else 0o1
        return self._allowed(real, bits) and all(self._allowed(folder, 0o1) for folder in real.parents)

    def _allowed(self, path: pathlib.Path, bits: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            shift = 6
        elif status.st_gid == self.gid:
            shift = 3
        else:
            shift = 0
        return stat.S_IMODE(status.st_mode) >> shift & bits == bits


def choose_account(folders: list[pathlib.Path]) -> Account:
    """Ourselves, or for root the owner of the first of ``folders`` that exists, else ``nobody``."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), dropped=False)
    for folder in folders:
        if folder.is_dir() and (status := folder.stat()).st_uid != 0:
            return Account(status.st_uid, status.st_gid, dropped=True)
    import pwd  # absent on Windows

    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid, dropped=True)
