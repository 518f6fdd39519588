"""The report of an evaluation: Markdown with tables and pictures, and the same as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geomon.events import Pick
from geomon.picking.card import Picker
from geomon.training.evaluate.bootstrap import Interval
from geomon.training.evaluate.evaluation import (
    PHASES,
    Comparison,
    Evaluation,
    Progress,
    compare,
    evaluate,
    no_progress,
    picked,
    residuals,
    worst,
)
from geomon.training.evaluate.testsets import EvaluationSet

REPORT_FILE, JSON_FILE = "report.md", "report.json"


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All pickers on one set of windows.

    Attributes
    ----------
    data : str
        What they were evaluated on.
    n_windows, n_events : int
        How much that is.
    evaluations : tuple of Evaluation
        One a picker, in the order asked for.
    comparisons : tuple of Comparison
        At the reference's pick budget; empty without continuous recordings.
    """

    data: str
    n_windows: int
    n_events: int
    evaluations: tuple[Evaluation, ...]
    comparisons: tuple[Comparison, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def evaluate_pickers(
    pickers: Sequence[Picker],
    material: EvaluationSet,
    *,
    reference: Picker | None = None,
    folder: Path | None = None,
    noise_s: int = 1800,
    most_perturbed: int = 60,
    progress: Progress = no_progress,
) -> EvaluationReport:
    """Evaluate pickers side by side, and write the report.

    Parameters
    ----------
    pickers : sequence of Picker
        At least one.
    material : EvaluationSet
        What they are scored on.
    reference : Picker, optional
        Whose pick budget the others are compared at; the first one where absent. It needs
        continuous recordings.
    folder : Path, optional
        Where ``report.md``, ``report.json`` and the pictures are written; nowhere when absent.
    noise_s, most_perturbed : int
        As for `evaluate`.
    progress : callable, optional
        Told how far it is.

    Raises
    ------
    DataError
        If a picker lacks P or S.
    """
    picks: dict[str, list[list[Pick]]] = {}
    evaluations = []
    for picker in pickers:
        label = picker.card.label
        picks[label] = picked(picker, material)
        evaluations.append(
            evaluate(
                picker,
                material,
                picks[label],
                noise_s=noise_s,
                most_perturbed=most_perturbed,
                progress=progress,
            )
        )
    comparisons: list[Comparison] = []
    base = reference or pickers[0]
    others = [one for one in pickers if one.card.label != base.card.label]
    if material.continuous and others:
        if base.card.label not in picks:
            picks[base.card.label] = picked(base, material)
        comparisons = compare(base, others, material, picks)
    report = EvaluationReport(
        material.name,
        len(material.windows),
        len(set(material.events)),
        tuple(evaluations),
        tuple(comparisons),
    )
    if folder is not None:
        _write(report, pickers, material, picks, folder)
    return report


def _write(
    report: EvaluationReport,
    pickers: Sequence[Picker],
    material: EvaluationSet,
    picks: Mapping[str, Sequence[Sequence[Pick]]],
    folder: Path,
) -> None:
    from geomon.training.evaluate import pictures

    folder.mkdir(parents=True, exist_ok=True)
    shown = {
        one.card.label: residuals(material, picks[one.card.label], one.card.thresholds)
        for one in pickers
    }
    pictures.save_residuals(shown, folder / "residuals.png")
    pictures.save_precision_recall(report.evaluations, folder / "precision_recall.png")
    pictures.save_reliability(report.evaluations, folder / "reliability.png")
    misses = {}
    for picker in pickers:
        label = picker.card.label
        name = f"misses_{label.replace('@', '_')}.png"
        bad = worst(material, picks[label], picker.card.thresholds)
        pictures.save_misses(picker, material.windows, picks[label], bad, folder / name)
        misses[label] = name
    (folder / REPORT_FILE).write_text(as_markdown(report, misses), encoding="utf-8")
    content = json.dumps(_plain(report.as_dict()), indent=1, ensure_ascii=False)
    (folder / JSON_FILE).write_text(content + "\n", encoding="utf-8")


def _plain(content: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Turn NaN, which JSON lacks, into null."""
    if isinstance(content, float) and content != content:
        return None
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content


def accuracy_table(evaluations: Sequence[Evaluation]) -> str:
    """Return the table of precision, recall and F1 of all pickers."""
    rows = []
    for one in evaluations:
        for key, value in one.accuracy.items():
            times = f"{value.bias_s:+.3f}", f"{value.mae_s:.3f}", f"{value.std_s:.3f}"
            rates = (f"{rate.estimate:.3f}" for rate in (value.precision, value.recall))
            rows.append((one.picker, key, _with_interval(value.f1), *rates, *times))
    head = ("picker", "phase", "F1 [95 %]", "precision", "recall", "median s", "MAE s", "std s")
    return _table(head, rows)


def as_markdown(report: EvaluationReport, misses: Mapping[str, str]) -> str:
    """Return the report as Markdown; `misses` names each picker's picture of them."""
    ones = report.evaluations
    names = [one.picker for one in ones]
    parts = [
        f"# Evaluation on {report.data}",
        f"{report.n_windows} windows of {report.n_events} events. Thresholds: "
        + "; ".join(f"{one.picker} {_limits(one.thresholds)}" for one in ones)
        + ". Intervals are bootstraps over events.",
        "## Picks against the analysts'",
        accuracy_table(ones),
        "Picks from 3 s before P to 3 s after S count. Extra picks a window: "
        + ", ".join(f"{one.picker} {one.extra_picks:.3f}" for one in ones)
        + ".",
        "![Residuals](residuals.png)\n\n![Precision and recall](precision_recall.png)",
    ]
    if report.comparisons:
        parts += ["## At the same pick budget", _comparison_text(report.comparisons)]
    parts += ["## Three tasks", _tasks(ones), "## Honesty", _honesty(ones)]
    parts += ["![Reliability](reliability.png)", "## False picks an hour", _false(ones)]
    parts += ["## Perturbations", _perturbations(ones), _shifts(ones), "## Classes of windows"]
    parts += [_classes(ones, grouping) for grouping in ones[0].by_class]
    parts += ["## Worst misses", *(f"![{name}]({misses[name]})" for name in names)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _with_interval(one: Interval) -> str:
    return f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _limits(thresholds: Mapping[Any, float]) -> str:
    return ", ".join(f"{phase} {value:.2f}" for phase, value in thresholds.items())


def _comparison_text(comparisons: Sequence[Comparison]) -> str:
    rows = [
        (one.picker, key, _limits(one.thresholds), f"{one.f1[key]:.3f}", _with_interval(gain))
        for one in comparisons
        for key, gain in one.gain.items()
    ]
    head = ("picker", "phase", "thresholds", "F1", f"minus {comparisons[0].reference} [95 %]")
    return (
        "Thresholds at which each makes as many picks on the continuous recordings as the "
        "reference.\n\n" + _table(head, rows)
    )


def _tasks(ones: Sequence[Evaluation]) -> str:
    rows = []
    for one in ones:
        tasks = one.tasks
        times = [
            f"{t.rmse_s:.3f} / {t.mae_s:.3f} / {t.modified_mae_s:.3f} / {t.outliers:.2f}"
            for t in (tasks.onset_times[phase] for phase in PHASES)
        ]
        rows.append((one.picker, f"{tasks.detection_auc:.4f}", f"{tasks.phase_mcc:.3f}", *times))
    onset = "onset: RMSE / MAE / modified MAE s / outliers"
    head = ("picker", "detection AUC", "phase MCC", f"P {onset}", f"S {onset}")
    n = ones[0].tasks
    return _table(head, rows) + (
        f"\n\nMünchmeyer et al. (2022): {n.n_event} windows with and {n.n_noise} without an event, "
        f"{n.n_phases} windows of 10 s with one onset; outliers are beyond 0.45 s."
    )


def _honesty(ones: Sequence[Evaluation]) -> str:
    rows = []
    for one in ones:
        for phase in PHASES:
            row = one.calibration[phase]
            shares = f"{row.within_1_sigma:.2f}", f"{row.within_2_sigma:.2f}", str(row.n)
            rows.append((one.picker, phase, f"{row.expected_error:.3f}", *shares))
    head = ("picker", "phase", "probabilities off by", "within 1 σ", "within 2 σ", "picks")
    return _table(head, rows)


def _false(ones: Sequence[Evaluation]) -> str:
    rows = []
    for kind in ones[0].false_picks_an_hour:
        cells = []
        for one in ones:
            rate, before = one.false_picks_an_hour[kind], one.ungated_picks_an_hour[kind]
            cells.append(f"{rate.estimate:.1f} [{rate.low:.1f}, {rate.high:.1f}] of {before:.1f}")
        rows.append((kind, *cells))
    return (
        "P and S together, on synthetic noise with an artefact a minute: those believed, of those "
        "made before the gate on input.\n\n" + _table(("", *(one.picker for one in ones)), rows)
    )


def _perturbations(ones: Sequence[Evaluation]) -> str:
    rows = []
    for one in ones:
        for row in one.perturbed:
            f1 = [f"{value:.3f}" for value in row.f1.values()]
            change = ["", "", ""]
            if row.change is not None:
                swing = f"{row.change.median_swing:.3f} / {row.change.p95_swing:.3f}"
                change = [swing, f"{row.change.n_lost} of {row.change.n_picks}"]
                change.append(f"{row.change.moved_s:.3f}")
            rows.append((one.picker, row.name, *f1, *change))
    keys = [f"F1 {key}" for key in ones[0].perturbed[0].f1]
    head = ("picker", "windows", *keys, "swing, median / 95 %", "lost", "moved s, 95 %")
    return _table(head, rows)


def _shifts(ones: Sequence[Evaluation]) -> str:
    rows = [
        (
            one.picker,
            f"{one.shift.median_swing:.4f}",
            f"{one.shift.p95_swing:.3f}",
            f"{one.shift.n_lost} of {one.shift.n_picks}",
        )
        for one in ones
    ]
    head = ("picker", "median swing", "95 % swing", "true picks lost")
    return "Moved by 1 to 255 samples:\n\n" + _table(head, rows)


def _classes(ones: Sequence[Evaluation], grouping: str) -> str:
    rows = [
        (one.picker, name, str(row.n_windows), *(f"{value:.3f}" for value in row.f1.values()))
        for one in ones
        for name, row in one.by_class[grouping].items()
    ]
    keys = [f"F1 {key}" for key in ones[0].accuracy]
    table = _table(("picker", grouping, "windows", *keys), rows)
    if len(rows) <= 40:
        return table
    return f"<details><summary>By {grouping}</summary>\n\n{table}\n\n</details>"
