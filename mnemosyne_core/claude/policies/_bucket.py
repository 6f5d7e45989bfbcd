"""A bucket: so much of something may be used, and it fills up again evenly.

Pure bookkeeping; whoever uses it says what time it is.
"""

from __future__ import annotations

_FILLS_IN_S = 60.0
"""The API's limits are limits per minute, and so are ours."""

_HAIR = 1e-6
"""What is lost when a bucket fills up in floating-point steps."""


class Bucket:
    """How much there is of one measure.

    What a call may use is taken when it begins; when it is over, what it has used replaces
    that. It may have used more than there was: then the level is below zero for a while.
    """

    def __init__(self, limit: float, now_s: float) -> None:
        """A full bucket, which holds `limit` and fills up within a minute."""
        self._limit = limit
        self._per_s = limit / _FILLS_IN_S
        self._level = limit
        self._at_s = now_s
        self._under_way = 0.0
        """What was taken for calls that are not over."""

    def wait_s(self, need: float, now_s: float) -> float:
        """How many seconds until there is room for `need`.

        What is larger than the bucket needs all of it: whether it is too large is not for
        us to say.
        """
        self._fill(now_s)
        missing = min(need, self._limit) - self._level
        return 0.0 if missing <= _HAIR else missing / self._per_s

    def take(self, need: float, now_s: float) -> None:
        """Take `need` for a call that begins."""
        self._fill(now_s)
        self._level -= need
        self._under_way += need

    def settle(self, need: float, used: float, now_s: float) -> None:
        """A call is over that began with `need`: it has used `used`."""
        self._fill(now_s)
        self._under_way = max(0.0, self._under_way - need)
        self._level = min(self._limit, self._level + need - used)

    def tell(self, level: float, limit: float, *, full_in_s: float, now_s: float) -> None:
        """Somebody knows better what there is, without what is taken for calls under way.

        Args:
            level: How much; what is nothing may be a debt, which only `full_in_s` shows.
            limit: How much it holds.
            full_in_s: When it will be full.
            now_s: The time.
        """
        self._limit = limit
        self._at_s = now_s
        self._per_s = limit / _FILLS_IN_S
        if full_in_s <= 0:
            level = limit
        elif level <= 0:
            level = min(0.0, limit - self._per_s * full_in_s)
        elif level < limit:
            self._per_s = (limit - level) / full_in_s
        self._level = level - self._under_way

    def _fill(self, now_s: float) -> None:
        passed_s = now_s - self._at_s
        self._at_s = now_s
        self._level = min(self._limit, self._level + passed_s * self._per_s)
