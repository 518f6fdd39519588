"""Times as the tables hold them."""

from sqlalchemy import BigInteger, Dialect, TypeDecorator


class Nanoseconds(TypeDecorator[int]):
    """Nanoseconds since 1970; of a time no database can hold, the nearest that it can.

    So one may ask for everything until the year 9999.
    """

    impl = BigInteger
    cache_ok = True
    _MOST = 2**63 - 1

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Return what is written or compared with."""
        del dialect
        return value if value is None else min(max(value, -self._MOST), self._MOST)
