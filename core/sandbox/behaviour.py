"""How the sandbox misbehaves towards each market, as tests and the console set it."""

import random
from typing import Literal

import msgspec

from core.sandbox.messages import Behaviour, Percent
from core.sandbox.store import Store

Fate = Literal["answer", "refuse", "lose"]


class Temper:
    """One market's behaviour and where its dice stand; they begin anew when it is set or the service starts."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.is_ = behaviour
        self._dice = random.Random(behaviour.seed)  # noqa: S311 -- a seed makes it come again

    def falls(self, share: Percent) -> bool:
        """Whether this time is one of `share` percent."""
        return share > 0 and self._dice.random() * 100 < share

    def fate(self) -> Fate:
        """What becomes of a call."""
        if self.falls(self.is_.fail_before):
            return "refuse"
        return "lose" if self.falls(self.is_.fail_after) else "answer"

    def delay(self) -> int:
        """Milliseconds until a notification is sent."""
        shuffle = self.is_.notify_shuffle
        return self.is_.notify_delay + (self._dice.randint(0, shuffle) if shuffle else 0)


class Tempers:
    """The behaviour of all markets, kept in the file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, Temper] = {}

    def of(self, account: str) -> Temper:
        """How it behaves towards this market."""
        if account not in self._found:
            text = self._store.value("select behaviour from account where name = ?", account)
            known = Behaviour() if text is None else msgspec.json.decode(text, type=Behaviour)
            self._found[account] = Temper(known)
        return self._found[account]

    def put(self, account: str, behaviour: Behaviour) -> None:
        """Behave like this from now on."""
        with self._store.transaction():
            self._store.run(
                "insert into account (name, behaviour) values (?, ?)"
                " on conflict (name) do update set behaviour = excluded.behaviour",
                *(account, msgspec.json.encode(behaviour).decode()),
            )
        self._found[account] = Temper(behaviour)
