"""Does retraining make a picker better, never worse, and is poison refused?

A simulated network whose analyst knows the truth. The champion was made blind to small earthquakes
on purpose; three scheduled retrainings follow, each after more hours were reviewed. Then labels are
poisoned in six ways, and equal pickers are put through the gate again and again.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geomon.events import Pick
from geomon.ids import StreamId
from geomon.picking.card import load_picker, save_picker
from geomon.services.champion import ensure_champion, pickers_of
from geomon.services.dataset import RetrainSettings, work_folder
from geomon.services.examination import (
    benchmark,
    budget_windows,
    equal_budget,
    exam_windows,
    examine,
    fixed_benchmark,
    picks_in,
)
from geomon.services.ingest import ingest
from geomon.services.labelling import labels_of
from geomon.services.retrain import retrain
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.training.audit import audit
from geomon.training.dataset import (
    BLOCK_NS,
    Example,
    Label,
    Tally,
    cut,
    drawn_windows,
    part_of_time,
    plan,
)
from geomon.training.evaluate.scores import Score
from geomon.training.finetune import FinetuneRecipe, Lessons, finetune
from geomon.training.gate import Evidence, Paired, alpha_of, judge, scored
from geomon.training.recordings import recorded
from tests.benchmarks.report import Figure, at_least, at_most, main
from tests.networks import simulated
from tests.reviews import review_all

START_NS = parse_time("2024-05-01")
SMALL = 0.8  # magnitude below which the champion is blind


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated and trained: the first `minutes` of hours of each use."""

    n_stations: int
    minutes: int
    train_hours: int
    test_hours: int
    blind: FinetuneRecipe
    retrain: FinetuneRecipe
    settings: RetrainSettings
    n_null: int


QUICK = Size(
    4, 23, 3, 2,
    FinetuneRecipe(epochs=1, steps_an_epoch=50, batch_size=8, learning_rate=1e-3,
                   distillation=0, real_share=1.0, n_events=20, n_noise=20),
    FinetuneRecipe(epochs=1, steps_an_epoch=40, batch_size=8, learning_rate=5e-4,
                   n_events=60, n_noise=40, real_share=0.75),
    RetrainSettings(n_quiet=12, n_budget=10, n_synthetic=30),
    60,
)  # fmt: skip
FULL = Size(
    6, 60, 6, 3,
    FinetuneRecipe(epochs=3, steps_an_epoch=80, learning_rate=1e-3, distillation=0,
                   real_share=0.75, n_events=200, n_noise=100),
    FinetuneRecipe(epochs=4, steps_an_epoch=80, learning_rate=5e-4, n_events=600, n_noise=200,
                   patience=3),
    RetrainSettings(n_quiet=60, n_budget=40, n_synthetic=120),
    200,
)  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    """Measure retraining on a simulated network with known truth."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        made = _Story(Path(folder), size)
        return [*made.retrainings(), *made.poisons(), *made.nulls()]


def hours_of(part: str, count: int, minutes: int) -> list[TimeSpan]:
    """Return beginnings of the first hours of the simulated days that are for something."""
    found = [
        TimeSpan(start, start + minutes * 60 * NS_PER_S)
        for start in range(START_NS, START_NS + 100 * BLOCK_NS, BLOCK_NS)
        if part_of_time(start) == part
    ]
    return found[:count]


class _Story:
    """One network from its blind champion on."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size = size
        source = {"kind": "simulated", "seed": 1, "n_stations": size.n_stations}
        self.train = hours_of("train", size.train_hours, size.minutes)
        tests = hours_of("test", size.test_hours, size.minutes)
        self.others = [*hours_of("validation", 1, size.minutes), *tests]
        everything = [*self.train, *self.others]
        self.span = TimeSpan(START_NS, max(one.end_ns for one in everything))
        self.config = simulated(folder, source=source, picker={"name": str(folder / "blind")})
        for hour in everything:
            _tell(f"records of {hour}")
            ingest(self.config, hour)
        _tell("a champion that is blind to small earthquakes")
        self._make_blind(folder)
        for hour in self.others:
            review_all(self.config, hour)
        registry = pickers_of(self.config)
        streams = workspace(self.config).archive.streams()
        for stream, window in drawn_windows(streams, self.span, 1.0):
            registry.mark_reviewed(stream, window, "ada")

    def _make_blind(self, folder: Path) -> None:
        """Teach the default picker that small earthquakes are noise."""
        scratch = simulated(
            folder / "elsewhere", source=self.config.source.model_dump(),
            archive={"url": self.config.archive.url},
        )  # fmt: skip
        for hour in (*self.train[:2], self.others[0]):
            review_all(scratch, hour)
        catalog = workspace(scratch).catalog
        small = {
            one.event_id
            for one in catalog.events(self.span.start, self.span.end)
            if one.preferred_magnitude is not None and one.preferred_magnitude.value < SMALL
        }
        labels = labels_of(scratch, self.span, Tally())
        told = [one for one in labels if one.event_id not in small]
        hidden = [replace(one, kind="rejected") for one in labels if one.event_id in small]
        examples = cut(plan([*told, *hidden], Tally()), self._read, Tally())
        lessons = Lessons(_part(examples, "train"), _part(examples, "validation"), ())
        blind, _ = finetune(load_picker("default"), self.size.blind, lessons, folder / "blinding")
        save_picker(blind, folder / "blind")

    def _read(self, stream: StreamId, span: TimeSpan) -> tuple[np.ndarray, np.ndarray] | None:
        segments = workspace(self.config).archive.read_stream(stream, span).segments
        return recorded(segments, span) if segments else None

    def retrainings(self) -> list[Figure]:
        """Retrain three times, each after a third more was reviewed."""
        first = ensure_champion(self.config)
        verdicts = []
        third = len(self.train) // 3
        for number in range(3):
            for hour in self.train[number * third : (number + 1) * third]:
                review_all(self.config, hour)
            report = retrain(
                self.config, self.span, settings=self.size.settings,
                recipe=replace(self.size.retrain, seed=number + 1),
            )  # fmt: skip
            _tell(f"retraining {number + 1}: {report.verdict}: {report.reason}\n{report.table}")
            verdicts.append(report.verdict)
        exam, on_benchmark = self._compared(first)
        one, two = exam.champion, exam.challenger
        better, is_better = at_least(two.f1 - one.f1, 0.02)
        goal, holds = at_least(two.recall - one.recall, 0.0)
        words = f"{self.size.n_stations} stations; verdicts: {', '.join(verdicts)}"
        fixed, fixed_holds = at_least(on_benchmark, -0.01)
        return [
            Figure(
                figure="F1 at matched budget, last champion less first", value=two.f1 - one.f1,
                unit="", goal=better, holds=is_better,
                conditions=f"{one.f1:.3f} to {two.f1:.3f}; {words}",
            ),
            Figure(
                figure="recall at matched budget, last champion less first",
                value=two.recall - one.recall, unit="", goal=goal, holds=holds,
                conditions=f"{one.recall:.3f} to {two.recall:.3f}; {words}",
            ),
            Figure(
                figure="F1 on the fixed benchmark, last champion less first", value=on_benchmark,
                unit="", goal=fixed, holds=fixed_holds, conditions=words,
            ),
        ]  # fmt: skip

    def _compared(self, first_sha: str) -> tuple[Paired, float]:
        """Return scores of first and last champion on held-out hours, and the benchmark's gain."""
        registry = pickers_of(self.config)
        first, last = (
            load_picker(registry.folder(sha)) for sha in (first_sha, registry.champion())
        )
        limits = dict(first.card.thresholds)
        windows = budget_windows(self.config, self.span, self.size.settings.n_budget)
        pairs = list(
            zip((first, last), equal_budget(self.config, (first, last), limits, windows),
                strict=True)
        )  # fmt: skip
        labels = labels_of(self.config, self.span, Tally())
        scores, _ = examine(
            self.config, pairs, limits, exam_windows(self.config, self.span), labels
        )
        material = fixed_benchmark(
            None, work_folder(self.config) / "benchmark", self.size.settings.n_synthetic
        )
        on_benchmark, _, _ = benchmark(pairs, material)
        exam = scores["0.5 s"]
        gain = on_benchmark[1]["0.5 s"].f1 - on_benchmark[0]["0.5 s"].f1
        return exam, gain

    def poisons(self) -> list[Figure]:
        """Poison the labels of all hours in six ways; count what is refused."""
        labels = labels_of(self.config, self.span, Tally())
        champion = load_picker(pickers_of(self.config).folder(ensure_champion(self.config)))
        windows = sorted(
            {(stream, window) for stream, window in _pieces(labels)},
            key=lambda one: (one[0], one[1].start_ns),
        )
        picks = picks_in(self.config, champion, windows, dict.fromkeys(("P", "S"), 0.1))
        n_labels = len(labels)
        refused = {
            (name, share): audit(_poisoned(labels, poison, share), picks).is_refused
            for name, poison in POISONS.items()
            for share in (0.05, 0.2)
        }
        missed = [f"{name} {share:.0%}" for (name, share), is_so in refused.items() if not is_so]
        honest = audit(labels, picks)
        conditions = f"{n_labels} labels" + (f"; passed: {', '.join(missed)}" if missed else "")
        goal, holds = at_least(sum(refused.values()), len(refused))
        limit, honest_holds = at_most(float(honest.is_refused), 0)
        return [
            Figure(
                figure="poisoned labels refused (shifted, swapped, S late; 5 and 20 %)",
                value=sum(refused.values()), unit="of 6", goal=goal, holds=holds,
                conditions=conditions,
            ),
            Figure(
                figure="honest labels refused", value=float(honest.is_refused), unit="of 1",
                goal=limit, holds=honest_holds, conditions=honest.reason,
            ),
        ]  # fmt: skip

    def nulls(self) -> list[Figure]:
        """Put pickers as good as the champion through the gate; count the promoted ones."""
        champion = load_picker(pickers_of(self.config).folder(ensure_champion(self.config)))
        windows = exam_windows(self.config, self.span)
        labels = labels_of(self.config, self.span, Tally())
        wide = picks_in(self.config, champion, windows, dict.fromkeys(("P", "S"), 0.05))
        rng = np.random.default_rng(11)

        def draw() -> tuple[Score, tuple[str, ...]]:
            return scored(windows, labels, _equal_picker(wide, rng), 0.5)

        ours, groups = draw()
        same = Paired(ours, ours, groups)
        promoted = 0
        for _ in range(self.size.n_null):
            pair = Paired(ours, draw()[0], groups)
            evidence = Evidence({"0.5 s": pair}, {"0.5 s": same}, 1, {}, {})
            promoted += judge(evidence).verdict == "promoted"
        share = promoted / self.size.n_null
        goal, holds = at_most(share, 0.05)
        spent = sum(alpha_of(n) for n in range(1, self.size.n_null + 1))
        within, budget_holds = at_most(spent, 0.05)
        return [
            Figure(
                figure="null retrainings promoted", value=share, unit="", goal=goal, holds=holds,
                conditions=f"{self.size.n_null} pickers that pick what is in doubt by chance; "
                "each as if it were the first test",
            ),
            Figure(
                figure="error budget spent by that many tests in a row", value=spent, unit="",
                goal=within, holds=budget_holds,
            ),
        ]  # fmt: skip


def _part(examples: Sequence[Example], part: str) -> tuple:  # type: ignore[type-arg]
    return tuple(one.recording() for one in examples if one.part == part)


def _pieces(labels: Sequence[Label]) -> set[tuple[StreamId, TimeSpan]]:
    from geomon.training.dataset import WINDOW_NS

    places = {(one.stream_id, one.time_ns // WINDOW_NS) for one in labels}
    return {(s, TimeSpan(k * WINDOW_NS, (k + 1) * WINDOW_NS)) for s, k in places}


def _equal_picker(
    picks: dict[StreamId, list[Pick]], rng: np.random.Generator
) -> dict[StreamId, list[Pick]]:
    """Return what a picker as good would find: sure picks always, doubtful ones by chance."""
    return {
        stream: [one for one in some if one.probability + rng.normal(0, 0.2) > 0.4]
        for stream, some in picks.items()
    }


def _shifted(label: Label) -> Label:
    return replace(label, time_ns=label.time_ns + NS_PER_S, residual_s=label.residual_s + 0.9)


def _swapped(label: Label) -> Label:
    other = "S" if label.phase == "P" else "P"
    return replace(label, phase=other, residual_s=3.0 if other == "P" else -3.0)


def _late(label: Label) -> Label:
    if label.phase == "P":
        return label
    return replace(label, time_ns=label.time_ns + NS_PER_S // 5, residual_s=label.residual_s + 0.15)


POISONS: dict[str, Callable[[Label], Label]] = {
    "shifted": _shifted, "swapped": _swapped, "S late": _late,
}  # fmt: skip


def _poisoned(
    labels: Sequence[Label], poison: Callable[[Label], Label], share: float
) -> list[Label]:
    """Spoil a share of the labels that can be spoilt so."""
    rng = np.random.default_rng(5)
    can = [k for k, one in enumerate(labels) if poison(one) != one]
    chosen = set(rng.choice(can, round(share * len(can)), replace=False).tolist())
    return [poison(one) if k in chosen else one for k, one in enumerate(labels)]


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(measure)
