"""Do many independent units of work at once, with Dask, on this machine or a cluster."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomon.config import Config
from geomon.errors import ClusterUnavailable
from geomon.services.reports import Progress

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_S = "20s"


def fan_out[Key, Result](
    work: Callable[[Config, Key], Result],
    config: Config,
    keys: Sequence[Key],
    *,
    stage: str,
    progress: Progress,
    workers: int | None = None,
    resource: str | None = None,
) -> list[Result]:
    """Call ``work(config, key)`` for every key and return the results in the order of the keys.

    With ``compute.dask_scheduler`` the calls go to that cluster, otherwise to threads here.
    `work` must be a module-level function and turn expected failures into results; a call that
    the cluster loses with its worker is made again by another one.

    Parameters
    ----------
    work : callable
        What to do with one key.
    config : Config
        The network.
    keys : sequence
        What to do it with.
    stage : str
        What `progress` is told.
    progress : callable
        Told about every call that came back.
    workers : int, optional
        Threads here; ``compute.workers`` by default.
    resource : str, optional
        What a worker of the cluster must offer, one of it a call.

    Raises
    ------
    ClusterUnavailable
        If the cluster does not answer, or lacks the resource.
    """
    progress(stage, 0, len(keys))
    if not keys:
        return []
    if config.compute.dask_scheduler:
        return _on_cluster(work, config, keys, stage, progress, resource)
    return _on_threads(work, config, keys, stage, progress, workers or config.compute.workers)


@contextmanager
def connected(scheduler: str, resource: str | None = None) -> "Iterator[Client]":
    """Connect to a Dask cluster.

    Parameters
    ----------
    scheduler : str
        Its address, or the file that ``dask scheduler --scheduler-file`` wrote.
    resource : str, optional
        What a worker must offer.

    Raises
    ------
    ClusterUnavailable
        If it does not answer, or none of its workers offers `resource`: work that needs it would
        wait for ever.
    """
    from distributed import Client

    try:
        client = Client(_address(scheduler), set_as_default=False, timeout=_CONNECT_S)
    except (OSError, TimeoutError, ValueError, KeyError) as error:
        msg = f"compute.dask_scheduler = {scheduler!r} does not answer: {error}"
        raise ClusterUnavailable(msg) from error
    with client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if resource and not any(resource in worker["resources"] for worker in workers):
            msg = (
                f"compute.dask_picking = {resource!r}: none of the {len(workers)} workers of "
                f"{scheduler} offers it; start some with --resources {resource}=1"
            )
            raise ClusterUnavailable(msg)
        yield client


def _address(scheduler: str) -> str:
    if not scheduler.endswith(".json"):
        return scheduler
    return str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])


def _on_threads[Key, Result](
    work: Callable[[Config, Key], Result],
    config: Config,
    keys: Sequence[Key],
    stage: str,
    progress: Progress,
    workers: int,
) -> list[Result]:
    import dask
    from dask.callbacks import Callback

    done = 0

    def count(*_: Any) -> None:  # noqa: ANN401 - Dask's callback signature
        nonlocal done
        done += 1
        progress(stage, min(done, len(keys)), len(keys))

    tasks = [dask.delayed(work, pure=False)(config, key) for key in keys]
    with Callback(posttask=count):
        results = dask.compute(
            *tasks, scheduler="threads", num_workers=workers, optimize_graph=False
        )
    return list(results)


def _on_cluster[Key, Result](
    work: Callable[[Config, Key], Result],
    config: Config,
    keys: Sequence[Key],
    stage: str,
    progress: Progress,
    resource: str | None,
) -> list[Result]:
    from distributed import as_completed

    needs = {resource: 1} if resource else None
    with connected(str(config.compute.dask_scheduler), resource) as client:
        futures = [client.submit(work, config, key, pure=False, resources=needs) for key in keys]
        for done, _ in enumerate(as_completed(futures, loop=client.loop), start=1):
            progress(stage, done, len(keys))
        return list(client.gather(futures))
