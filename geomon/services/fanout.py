"""Do many independent units of work at once, with Dask, on this machine or a cluster."""

from collections.abc import Callable, Sequence
from typing import Any

from geomon.config import Config
from geomon.services.reports import Progress


def fan_out[Key, Result](
    work: Callable[[Config, Key], Result],
    config: Config,
    keys: Sequence[Key],
    *,
    stage: str,
    progress: Progress,
    workers: int | None = None,
) -> list[Result]:
    """Call ``work(config, key)`` for every key and return the results in the order of the keys.

    With ``compute.dask_scheduler`` the calls go to that cluster, otherwise to threads here.
    `work` must be a module-level function and turn expected failures into results.
    """
    progress(stage, 0, len(keys))
    if not keys:
        return []
    if config.compute.dask_scheduler:
        return _on_cluster(work, config, keys, stage, progress)
    return _on_threads(work, config, keys, stage, progress, workers or config.compute.workers)


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
) -> list[Result]:
    from distributed import Client, as_completed

    with Client(config.compute.dask_scheduler, set_as_default=False) as client:
        futures = [client.submit(work, config, key, pure=False) for key in keys]
        for done, _ in enumerate(as_completed(futures, loop=client.loop), start=1):
            progress(stage, done, len(keys))
        return list(client.gather(futures))
