"""The shares of all listeners that a deliverer has something to remember of. Without a lock."""

from deliverer.share import Share

MAX_KEPT = 100_000


class Shares:
    """Makes a listener's share when it is first asked for, and forgets it when it is idle.

    Times are in seconds, of one clock.
    """

    def __init__(self) -> None:
        self._shares: dict[int, Share] = {}
        self._look_at = MAX_KEPT

    def __getitem__(self, listener: int) -> Share:
        """Return the share of a listener that has POSTs under way."""
        return self._shares[listener]

    def of(self, listener: int, now: float) -> Share:
        """Return the share of a listener, maybe a new one."""
        share = self._shares.get(listener)
        if share is None:
            if len(self._shares) >= self._look_at:
                self._shares = {key: one for key, one in self._shares.items() if not one.idle(now)}
                # Where none is idle, the next one shall not look at all of them again.
                self._look_at = max(MAX_KEPT, 2 * len(self._shares))
            share = self._shares[listener] = Share(now)
        return share
