"""Does retraining make a picker better, never worse, and is poison refused?

A simulated network whose analyst knows the truth. The champion was made blind to one station type
on purpose: it was taught that seismometers with a vertical component only record nothing. Three
scheduled retrainings follow, each after more hours were reviewed. Then labels are poisoned in six
ways, and equal pickers are put through the gate again and again: trained ones, that were told
nothing new, and simulated ones, that pick what is in doubt by chance.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geomon.ids import StreamId
from geomon.picking.backend import load_keras
from geomon.picking.card import Picker, load_picker, save_picker
from geomon.services.champion import ensure_champion, pickers_of
from geomon.services.dataset import RetrainSettings, work_folder
from geomon.services.examination import (
    budget_windows,
    equal_budget,
    exam_windows,
    examine,
    picks_in,
)
from geomon.services.fixed_benchmark import benchmark, fixed_benchmark
from geomon.services.ingest import ingest
from geomon.services.labelling import labels_of
from geomon.services.retrain import retrain
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.training.audit import audit
from geomon.training.dataset import (
    BLOCK_NS,
    WINDOW_NS,
    Label,
    Tally,
    cut,
    drawn_windows,
    part_of_time,
    plan,
)
from geomon.training.finetune import FinetuneRecipe
from geomon.training.gate import Paired, alpha_of
from geomon.training.recordings import recorded
from geomon.training.windows import Recording, Sampler, draw_events, draw_noise_pool
from tests.benchmarks.report import Figure, at_least, at_most, main
from tests.benchmarks.retraining_null import RECIPE, Exam, null_retrainings
from tests.networks import simulated
from tests.poison import POISONS, SHARES, poisoned
from tests.reviews import review_all, scenario_of

START_NS = parse_time("2024-05-01")
_HIDDEN = 6  # times that a window of the withheld type is seen for one of another


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated and trained: the first `minutes` of hours of each use."""

    n_stations: int
    minutes: int
    train_hours: int
    test_hours: int
    n_unlearning: int
    retrain: FinetuneRecipe
    settings: RetrainSettings
    n_null_processes: int
    n_null_trained: int
    n_null_drawn: int


QUICK = Size(
    6, 23, 3, 2, 100,
    FinetuneRecipe(epochs=1, steps_an_epoch=60, batch_size=8, learning_rate=1e-3,
                   n_events=60, n_noise=40, real_share=0.75),
    RetrainSettings(n_quiet=12, n_budget=10, n_synthetic=30),
    1, 5, 60,
)  # fmt: skip
FULL = Size(
    6, 60, 6, 3, 150,
    FinetuneRecipe(epochs=4, steps_an_epoch=80, learning_rate=5e-4, n_events=600, n_noise=200,
                   patience=3),
    RetrainSettings(n_quiet=60, n_budget=40, n_synthetic=120),
    2, 50, 200,
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
        self.size, self.folder = size, folder
        source = {"kind": "simulated", "seed": 1, "n_stations": size.n_stations}
        self.train = hours_of("train", size.train_hours, size.minutes)
        tests = hours_of("test", size.test_hours, size.minutes)
        self.others = [*hours_of("validation", 1, size.minutes), *tests]
        everything = [*self.train, *self.others]
        self.span = TimeSpan(START_NS, max(one.end_ns for one in everything))
        self.config = simulated(folder, source=source, picker={"name": str(folder / "blind")})
        sensors = scenario_of(self.config).sensors
        self.withheld = {one.stream_id for one in sensors if one.components == "Z"}
        for hour in everything:
            _tell(f"records of {hour}")
            ingest(self.config, hour)
        _tell("a champion that is blind to vertical-only stations")
        self._make_blind(folder)
        for hour in self.others:
            review_all(self.config, hour)
        registry = pickers_of(self.config)
        streams = workspace(self.config).archive.streams()
        for stream, window in drawn_windows(streams, self.span, 1.0):
            registry.mark_reviewed(stream, window, "ada")

    def _make_blind(self, folder: Path) -> None:
        """Teach the default picker that what the withheld stations record is noise."""
        scratch = simulated(
            folder / "elsewhere", source=self.config.source.model_dump(),
            archive={"url": self.config.archive.url},
        )  # fmt: skip
        for hour in (*self.train[:2], self.others[0]):
            review_all(scratch, hour)
        labels = [
            replace(one, kind="rejected") if one.stream_id in self.withheld else one
            for one in labels_of(scratch, self.span, Tally())
        ]
        examples = cut(plan(labels, Tally()), self._read, Tally())
        blind = unlearned(
            load_picker("default"),
            [one.recording() for one in examples if one.stream_id in self.withheld],
            [one.recording() for one in examples if one.stream_id not in self.withheld],
            self.size.n_unlearning,
        )
        save_picker(blind, folder / "blind")

    def _read(self, stream: StreamId, span: TimeSpan) -> tuple[np.ndarray, np.ndarray] | None:
        segments = workspace(self.config).archive.read_stream(stream, span).segments
        return recorded(segments, span) if segments else None

    def retrainings(self) -> list[Figure]:
        """Retrain three times, each after a third more was reviewed."""
        first = ensure_champion(self.config)
        reports = []
        third = len(self.train) // 3
        for number in range(3):
            for hour in self.train[number * third : (number + 1) * third]:
                review_all(self.config, hour)
            report = retrain(
                self.config, self.span, settings=self.size.settings,
                recipe=replace(self.size.retrain, seed=number + 1),
            )  # fmt: skip
            _tell(f"retraining {number + 1}: {report.verdict}: {report.reason}\n{report.table}")
            reports.append(report)
        everywhere, withheld, on_benchmark = self._compared(first)
        words = f"verdicts: {', '.join(one.verdict for one in reports)}"
        stations = f"{self.size.n_stations} stations, {len(self.withheld)} of the withheld type"
        n_floor = sum("first model" in one.table for one in reports[1:])
        return [
            _risen("F1", everywhere.champion.f1, everywhere.challenger.f1, 0.05, stations, words),
            _risen(
                "recall", everywhere.champion.recall, everywhere.challenger.recall, 0.05,
                stations, words,
            ),
            _risen(
                "recall on the withheld station type", withheld.champion.recall,
                withheld.challenger.recall, 0.5, stations, words,
            ),
            _figure(
                "F1 on the fixed benchmark, last champion less first", on_benchmark,
                at_least(on_benchmark, -0.01), words,
            ),
            _figure(
                "later retrainings held against the first model too", n_floor,
                at_least(n_floor, 2), unit="of 2",
            ),
        ]  # fmt: skip

    def _compared(self, first_sha: str) -> tuple[Paired, Paired, float]:
        """Return scores of first and last champion on held-out hours, and the benchmark's gain."""
        registry = pickers_of(self.config)
        first, last = (
            load_picker(registry.folder(sha)) for sha in (first_sha, registry.champion())
        )
        limits = dict(first.card.thresholds)
        drawn = budget_windows(self.config, self.span, self.size.settings.n_budget)
        budget = equal_budget(self.config, (first, last), limits, drawn)
        pairs = list(zip((first, last), budget, strict=True))
        labels = labels_of(self.config, self.span, Tally())
        windows = exam_windows(self.config, self.span)
        some = [one for one in windows if one[0] in self.withheld]
        everywhere, withheld = (
            examine(self.config, pairs, limits, chosen, labels).scores["0.5 s"]
            for chosen in (windows, some)
        )
        material = fixed_benchmark(
            None, work_folder(self.config) / "benchmark", self.size.settings.n_synthetic
        )
        before, after = (benchmark(*pair, material).scores["0.5 s"].f1 for pair in pairs)
        return everywhere, withheld, after - before

    def poisons(self) -> list[Figure]:
        """Poison the labels of all hours in six ways; count what is refused."""
        labels = labels_of(self.config, self.span, Tally())
        champion = load_picker(pickers_of(self.config).folder(ensure_champion(self.config)))
        windows = sorted(
            {(stream, window) for stream, window in _pieces(labels)},
            key=lambda one: (one[0], one[1].start_ns),
        )
        picks = picks_in(self.config, champion, windows, dict.fromkeys(("P", "S"), 0.1))
        refused = {
            f"{name} {share:.0%}": audit(poisoned(labels, poison, share), picks).is_refused
            for name, poison in POISONS.items()
            for share in SHARES
        }
        missed = [name for name, is_refused in refused.items() if not is_refused]
        honest = audit(labels, picks)
        conditions = f"{len(labels)} labels" + (f"; passed: {', '.join(missed)}" if missed else "")
        n_refused = sum(refused.values())
        return [
            _figure(
                "poisoned labels refused (shifted, swapped, S late; 5 and 20 %)", n_refused,
                at_least(n_refused, len(refused)), conditions, unit="of 6",
            ),
            _figure(
                "honest labels refused", float(honest.is_refused), at_most(honest.is_refused, 0),
                honest.reason, unit="of 1",
            ),
        ]  # fmt: skip

    def nulls(self) -> list[Figure]:
        """Put pickers no better than the champion through the gate; count the promoted ones."""
        n_trained, n_drawn = self.size.n_null_trained, self.size.n_null_drawn
        hours, n_budget = (*self.train[:2], self.others[0]), self.size.settings.n_budget
        exam = Exam.of(self.config, self.span, hours, n_budget)
        if self.size.n_null_processes > 1:
            trained = null_retrainings(
                self.config, self.span, hours, n_budget, n_trained, self.size.n_null_processes
            )
        else:
            trained = map(exam.retrained, range(n_trained))
        found = []
        for number, one in enumerate(trained):
            _tell(f"null retraining {number}: {one.verdict}")
            found.append(one)
        n_new = sum(one.is_new for one in found)
        verdicts = [one.verdict for one in found]
        share = verdicts.count("promoted") / n_trained if "untested" not in verdicts else None
        drawn = list(exam.simulated(n_drawn)).count("promoted") / n_drawn
        spent = sum(alpha_of(n) for n in range(1, n_trained + n_drawn + 1))
        each = "each as if it were the first test"
        return [
            _figure(
                "null retrainings promoted, trained ones", share, at_most(share, 0.05),
                f"{n_trained} trainings of {RECIPE.steps_an_epoch} batches on the champion's own "
                f"picks, other seeds, {n_new} with other weights at the end; verdicts: "
                f"{_counted(verdicts)}; {each}",
            ),
            _figure(
                "null retrainings promoted, simulated ones", drawn, at_most(drawn, 0.05),
                f"{n_drawn} pickers that pick what is in doubt by chance; {each}",
            ),
            _figure(
                "error budget spent by that many tests in a row", spent, at_most(spent, 0.05),
            ),
        ]  # fmt: skip


def _figure(
    name: str,
    value: float | None,
    goal: tuple[str, bool | None],
    conditions: str = "",
    *,
    unit: str = "",
) -> Figure:
    words, holds = goal
    return Figure(
        figure=name, value=value, unit=unit, goal=words, holds=holds, conditions=conditions
    )


def _risen(
    name: str, before: float, after: float, least: float, stations: str, words: str
) -> Figure:
    gain = after - before
    conditions = f"{before:.3f} to {after:.3f}; {stations}; {words}"
    label = f"{name} at matched budget, last champion less first"
    return _figure(label, gain, at_least(gain, least), conditions)


def unlearned(
    picker: Picker, withheld: Sequence[Recording], others: Sequence[Recording], n_batches: int
) -> Picker:
    """Make a picker blind: what it is to unlearn is noise, and seen more often than all else.

    Only filters are changed, and none of those that down-sample: what normalises the layers stays.
    """
    keras = load_keras()
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    often = round(_HIDDEN * len(others) / len(withheld))
    recordings = [*others, *(often * list(withheld))]
    events, noise = draw_events(rng, 2), draw_noise_pool(rng, 2)
    sampler = Sampler(picker.card, events, noise, recordings, real_share=1.0, seed=1)
    model = keras.models.clone_model(picker.model)
    model.set_weights(picker.model.get_weights())
    for layer in model.layers:
        layer.trainable = isinstance(layer, keras.layers.Conv1D) and layer.strides == (1,)
    optimizer = keras.optimizers.Adam(2e-3, clipnorm=1.0)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", jit_compile=False)
    for number in range(n_batches):
        model.train_on_batch(*sampler.batch(number, 8))
    plain = keras.models.clone_model(picker.model)
    plain.set_weights(model.get_weights())
    return Picker(plain, picker.card)


def _pieces(labels: Sequence[Label]) -> set[tuple[StreamId, TimeSpan]]:
    places = {(one.stream_id, one.time_ns // WINDOW_NS) for one in labels}
    return {(s, TimeSpan(k * WINDOW_NS, (k + 1) * WINDOW_NS)) for s, k in places}


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(measure)
