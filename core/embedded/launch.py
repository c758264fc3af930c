"""Run as a script: take the engines' user, tie the life to the parent's, then become the engine.

A program of its own instead of ``preexec_fn``, which is unsafe in a process that has threads. Arguments:
pid of the parent, uid and gid (-1: stay who we are), number of the signal to get when the parent dies,
then the command. Standard library only: the interpreter runs it isolated (``-I -S``).
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, uid: int, gid: int, end_signal: int, command: list[str]) -> None:
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which clears it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, end_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the supervising process ended before the engine began")
    os.umask(0o077)
    try:
        os.execv(command[0], command)  # noqa: S606 - fixed arguments from launcher
    except OSError as error:
        sys.exit(f"FATAL: {command[0]} cannot be executed: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
