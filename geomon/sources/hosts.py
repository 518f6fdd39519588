"""What data centres ask of those who use their web services, as data.

EarthScope: at most 5 connections, and no polling for continuous near-real-time data
(https://ds.iris.edu/ds/nodes/dmc/services/usage/). IPGP: at most 2 connections and 5 a second
(https://ws.ipgp.fr/about/usage-guidelines). The others publish nothing; what is used for them is
what all of them have been seen to bear.
"""

from dataclasses import dataclass

from geomon.config import FdsnSource
from geomon.times import NS_PER_S, TimeSpan

_LIVE_NS = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class HostRules:
    """How one host wants to be asked.

    Attributes
    ----------
    max_connections : int
        Requests at a time.
    requests_per_s : float
        Requests a second.
    forbids_polling : bool
        Whether continuous data that are being recorded now may not be asked for.
    """

    max_connections: int = 3
    requests_per_s: float = 5.0
    forbids_polling: bool = False

    def forbids(self, span: TimeSpan, now_ns: int) -> bool:
        """Tell whether asking for a span at some time is polling that the host forbids.

        A span that ended an hour ago or earlier is no polling: a day's data may be had on the
        next morning.
        """
        return self.forbids_polling and now_ns - span.end_ns < _LIVE_NS


_EARTHSCOPE = HostRules(max_connections=5, forbids_polling=True)
RULES: dict[str, HostRules] = {
    "service.earthscope.org": _EARTHSCOPE,
    "service.iris.edu": _EARTHSCOPE,
    "services.iris.edu": _EARTHSCOPE,
    "ws.ipgp.fr": HostRules(max_connections=2),
}


def rules_of(host: str, settings: FdsnSource) -> HostRules:
    """Return how a host is asked: as `limits` say, else as the host is known to want it.

    Parameters
    ----------
    host : str
        Host name, with its port if the URL gives one.
    settings : config.FdsnSource
        `limits` for this host win over `max_connections` and `requests_per_s` for all, and those
        win over the table.
    """
    name = host.lower()
    known = RULES.get(name.partition(":")[0], HostRules())
    own = settings.limits.get(name)
    return HostRules(
        max_connections=(own and own.max_connections)
        or settings.max_connections
        or known.max_connections,
        requests_per_s=(own and own.requests_per_s)
        or settings.requests_per_s
        or known.requests_per_s,
        forbids_polling=known.forbids_polling,
    )
