"""Is a picker that learned nothing ever promoted? Null retrainings of a champion.

A null retraining is a real one, only short: the champion's weights are trained on, on what the
champion itself says of the network's records, so that there is nothing to gain. Where stopping
early would hand the champion back, the last weights are taken: the gate is tested here, not early
stopping. The gate compares them as it does any challenger's, on windows that were reviewed whole;
what else it looks at could only refuse, and is left out.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from geomon.config import Config
from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, load_picker
from geomon.services.champion import ensure_champion, pickers_of
from geomon.services.examination import (
    Window,
    budget_windows,
    compared,
    exam_windows,
    matched,
    picks_in,
)
from geomon.services.labelling import labels_of
from geomon.services.workspace import workspace
from geomon.times import TimeSpan, to_ns
from geomon.training.dataset import WINDOW_NS, Label, Tally, cut, plan, settled
from geomon.training.evaluate.budget import LOWEST
from geomon.training.evaluate.labelled import kept
from geomon.training.finetune import FinetuneRecipe, Lessons, best_epoch, finetune
from geomon.training.gate import Evidence, Paired, Verdict, judge
from geomon.training.recordings import recorded

RECIPE = FinetuneRecipe(epochs=1, steps_an_epoch=6, batch_size=8, n_events=8, n_noise=4)
"""A training of seconds."""

_LOW: dict[Phase, float] = dict.fromkeys(("P", "S"), LOWEST)

type Picks = dict[StreamId, list[Pick]]


@dataclass(frozen=True, slots=True)
class Null:
    """What came of one null retraining.

    `verdict` is the gate's, `is_new` whether any weight is another one than the champion's.
    """

    verdict: Verdict
    is_new: bool


@dataclass(frozen=True, slots=True)
class Exam:
    """The exam, with all that the champion picks in it, and what there is to train on."""

    config: Config
    champion: Picker
    windows: list[Window]
    drawn: list[Window]
    labels: list[Label]
    wide: Picks
    wide_drawn: Picks
    lessons: Lessons

    @classmethod
    def of(cls, config: Config, span: TimeSpan, hours: Sequence[TimeSpan], n_budget: int) -> "Exam":
        """Let the champion pick the exam, and the hours that are trained on."""
        champion = load_picker(pickers_of(config).folder(ensure_champion(config)))
        windows, drawn = exam_windows(config, span), budget_windows(config, span, n_budget)
        return cls(
            config, champion, windows, drawn, labels_of(config, span, Tally()),
            picks_in(config, champion, windows, _LOW), picks_in(config, champion, drawn, _LOW),
            _lessons(config, champion, hours),
        )  # fmt: skip

    def retrained(self, seed: int) -> Null:
        """Train on with a seed of its own, and let the gate judge."""
        with tempfile.TemporaryDirectory() as folder:
            made, epochs = finetune(
                self.champion, replace(RECIPE, seed=seed), self.lessons, Path(folder)
            )
            if best_epoch(epochs) == 0:
                last = load_keras().saving.load_model(Path(folder, "checkpoint.keras"))
                made.model.set_weights(last.get_weights())
        before, after = (one.model.get_weights() for one in (self.champion, made))
        is_new = not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        wide, drawn = (
            picks_in(self.config, made, windows, _LOW) for windows in (self.windows, self.drawn)
        )
        limits = self.champion.card.thresholds
        thresholds = matched((self.wide_drawn, drawn), limits)
        return Null(self._verdict((self.wide, wide), thresholds), is_new)

    def simulated(self, count: int) -> Iterator[Verdict]:
        """Judge pickers that find what is sure, and by chance what is in doubt."""
        rng = np.random.default_rng(11)
        nothing: dict[Phase, float] = dict.fromkeys(("P", "S"), 0.0)
        for _ in range(count):
            # A champion of its own for each: one that was lucky or not would decide about all.
            both = (_by_chance(self.wide, rng), _by_chance(self.wide, rng))
            yield self._verdict(both, (nothing, nothing))

    def _verdict(
        self, picks: tuple[Picks, Picks], thresholds: Sequence[dict[Phase, float]]
    ) -> Verdict:
        """Judge as in the first test against the champion, which spends most."""
        limits = self.champion.card.thresholds
        exam = compared(picks, thresholds, limits, self.windows, self.labels)
        main = exam.scores["0.5 s"]
        same = {"0.5 s": Paired(main.champion, main.champion, main.groups)}
        return judge(Evidence(exam.scores, same, 1, exam.residuals_s, {})).verdict


def _lessons(config: Config, champion: Picker, hours: Sequence[TimeSpan]) -> Lessons:
    """Cut out what the champion itself picks in some hours."""
    archive = workspace(config).archive
    windows = [
        (stream, window)
        for hour in hours
        for stream in archive.streams()
        for window in hour.steps(WINDOW_NS)
    ]
    own = picks_in(config, champion, windows, champion.card.thresholds)
    labels = [
        Label(stream, to_ns(one.time), one.phase, "automatic")
        for stream, some in own.items()
        for one in some
    ]

    def read(stream: StreamId, span: TimeSpan) -> tuple[np.ndarray, np.ndarray] | None:
        segments = archive.read_stream(stream, span).segments
        return recorded(segments, span) if segments else None

    examples = cut(plan(settled(labels, Tally()), Tally()), read, Tally())
    train, validation = (
        tuple(one.recording() for one in examples if one.part == part)
        for part in ("train", "validation")
    )
    return Lessons(train, validation, ())


def _by_chance(picks: Picks, rng: np.random.Generator) -> Picks:
    """Return what a picker as good would find."""
    return {
        stream: [
            one
            for one in kept([some], dict.fromkeys(("P", "S"), 0.05))[0]
            if one.probability + rng.normal(0, 0.2) > 0.4
        ]
        for stream, some in picks.items()
    }


def null_retrainings(
    config: Config,
    span: TimeSpan,
    hours: Sequence[TimeSpan],
    n_budget: int,
    count: int,
    n_processes: int,
) -> Iterator[Null]:
    """Retrain some times for nothing, in processes that each make the exam ready once."""
    known = (config, span, hours, n_budget)
    with ProcessPoolExecutor(n_processes, get_context("spawn"), _begin, known) as pool:
        yield from pool.map(_retrained, range(count))


_exam: list[Exam] = []  # of this process


def _begin(config: Config, span: TimeSpan, hours: Sequence[TimeSpan], n_budget: int) -> None:
    _exam.append(Exam.of(config, span, hours, n_budget))


def _retrained(seed: int) -> Null:
    return _exam[0].retrained(seed)
