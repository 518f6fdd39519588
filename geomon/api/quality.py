"""Answers about the quality of channel-days, and their noise beside the global models."""

import re

import numpy as np

from geomon.api import schemas
from geomon.api.fdsn import RequestProblem
from geomon.ids import StreamId
from geomon.processing.psd import high_noise_model, low_noise_model
from geomon.services.quality import quality, spectra
from geomon.services.workspace import Workspace
from geomon.times import NS_PER_DAY, TimeSpan

MAX_DAYS = 366
MAX_ROWS = 20_000
MAX_SPECTRA = 92

_PATTERN = re.compile(r"[A-Z0-9*?-]{1,12}\.[A-Z0-9*?-]{1,12}")
_MODEL_START_S = 0.1
_STEPS_AN_OCTAVE = 8


def quality_rows(space: Workspace, span: TimeSpan, stations: str | None) -> schemas.Qualities:
    """Return what was measured of every channel and day.

    Raises
    ------
    RequestProblem
        With status 400 if the span is too long or a station pattern is none, 413 if there are too
        many rows.
    """
    _check_days(span, MAX_DAYS)
    rows = quality(space.config, span, stations=_patterns(stations))
    if len(rows) > MAX_ROWS:
        raise RequestProblem(413, f"that is more than {MAX_ROWS} rows; ask for fewer days")
    return schemas.Qualities(
        start=span.start,
        end=span.end,
        rows=[schemas.QualityRow.model_validate(row.as_dict()) for row in rows],
    )


def noise(space: Workspace, stream: str, component: str, span: TimeSpan) -> schemas.Noise:
    """Return the noise of one channel day by day, and the models to draw beside it.

    Raises
    ------
    RequestProblem
        With status 400 if the span is too long.
    """
    _check_days(span, MAX_SPECTRA)
    stream_id = StreamId.parse(stream)
    days = []
    longest_s = 0.0
    for row in spectra(space.config, stream_id, component, span):
        if row.psd is None:
            continue
        is_motion = row.psd.unit == "m/s**2"
        longest_s = max(longest_s, row.psd.periods_s[-1] if is_motion else 0.0)
        days.append(
            schemas.NoiseDay(
                day=row.day,
                unit=row.psd.unit,
                n_windows=row.psd.n_windows,
                periods_s=list(row.psd.periods_s),
                low_db=list(row.psd.low_db),
                median_db=list(row.psd.median_db),
                high_db=list(row.psd.high_db),
                below_low_share=row.psd.below_low_share,
                above_high_share=row.psd.above_high_share,
            )
        )
    return schemas.Noise(
        channel=str(stream_id.seed_id(component)),
        start=span.start,
        end=span.end,
        days=days,
        models=_models(longest_s),
    )


def _models(longest_s: float) -> schemas.NoiseModels | None:
    """Return the models up to a period; None when nothing can be compared with them."""
    if longest_s < _MODEL_START_S:
        return None
    n_steps = int(np.ceil(np.log2(longest_s / _MODEL_START_S) * _STEPS_AN_OCTAVE)) + 1
    periods = _MODEL_START_S * 2 ** (np.arange(n_steps) / _STEPS_AN_OCTAVE)
    return schemas.NoiseModels(
        periods_s=np.round(periods, 6).tolist(),
        low_db=np.round(low_noise_model(periods), 2).tolist(),
        high_db=np.round(high_noise_model(periods), 2).tolist(),
    )


def _check_days(span: TimeSpan, most: int) -> None:
    if span.end_ns - span.start_ns > most * NS_PER_DAY:
        raise RequestProblem(400, f"a span may be {most} days long at most")


def _patterns(stations: str | None) -> tuple[str, ...]:
    parts = tuple(part.strip().upper() for part in (stations or "").split(",") if part.strip())
    for part in parts:
        if not _PATTERN.fullmatch(part):
            raise RequestProblem(400, f"stations: {part[:30]!r} is not NET.STA")
    return parts
