"""What a call to the outside may use. It is made with no transaction open."""

from dataclasses import dataclass

import httpx

from core.db.tx import TxFactory
from core.kit.clock import Clock, system_clock
from core.kit.settings import Env


@dataclass(frozen=True, slots=True)
class Outside:
    """What an outside call may use: settings and secrets, an HTTP client whose base URL is our own public address,
    and transactions of its own."""

    env: Env
    http: httpx.AsyncClient
    new_tx: TxFactory
    clock: Clock = system_clock
