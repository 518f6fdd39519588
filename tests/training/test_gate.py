"""The gate lets better challengers through, and hardly ever others; the audit smells poison."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.events import Pick
from geomon.ids import StreamId
from geomon.times import NS_PER_S, TimeSpan, from_ns, parse_time
from geomon.training.audit import audit
from geomon.training.dataset import Label
from geomon.training.evaluate.bootstrap import chance_of_gain
from geomon.training.evaluate.scores import Score
from geomon.training.gate import Evidence, Paired, alpha_of, judge, least_gain, scored
from tests.poison import POISONS, SHARES, poisoned

START = parse_time("2024-05-01")


def pair(ours: float, theirs: float, n_events: int = 60, seed: int = 0) -> Paired:
    """Twelve onsets an event, found with these probabilities, partly the same ones."""
    rng = np.random.default_rng(seed)
    luck, own = rng.random((n_events, 12)), rng.random((2, n_events, 12))
    scores = []
    for share, mine in ((ours, own[0]), (theirs, own[1])):
        found = (np.where(luck < 0.7, luck / 0.7, mine) < share).sum(axis=1)
        counts = np.stack([np.full(n_events, 12), found, found], axis=1)
        scores.append(Score(counts, rng.normal(0, 0.05, found.sum())))
    return Paired(*scores, groups=tuple(f"e{k}" for k in range(n_events)))


def evidence(exam: Paired, benchmark: Paired | None = None, trial: int = 1) -> Evidence:
    same = Paired(exam.champion, exam.champion, exam.groups)
    return Evidence({"0.5 s": exam}, {"0.5 s": benchmark or same}, trial, {}, {})


def test_a_better_challenger_is_promoted_and_an_equal_one_is_not() -> None:
    better = judge(evidence(pair(0.7, 0.85)))
    assert better.verdict == "promoted"
    assert better.alpha == 0.025
    assert "| exam: recall at 0.5 s |" in better.table()
    equal = judge(evidence(pair(0.8, 0.8)))
    assert equal.verdict == "refused"
    assert equal.alpha == 0.025
    assert "not better beyond chance" in equal.reason


def test_a_few_events_that_tell_two_apart_are_not_enough() -> None:
    """A bootstrap of five that all speak for one takes chance for certainty."""
    ours, theirs = np.tile([12, 8, 8], (60, 1)), np.tile([12, 8, 8], (60, 1))
    theirs[:5] = [12, 12, 12]
    groups = tuple(f"e{k}" for k in range(60))
    few = Paired(Score(ours, np.zeros(0)), Score(theirs, np.zeros(0)), groups)
    assert least_gain(few, 0.025)[1] > 0
    chance = chance_of_gain(few.challenger, few.champion, "f1", groups=groups, draws=20_000)
    assert chance == pytest.approx(1 / 32, abs=0.004)
    judgement = judge(evidence(few))
    assert judgement.verdict == "refused"
    assert "not better beyond chance" in judgement.reason


def test_what_falls_on_the_benchmark_or_below_the_first_model_is_refused() -> None:
    exam = pair(0.7, 0.85)
    worse = judge(evidence(exam, pair(0.9, 0.85, seed=3)))
    assert worse.verdict == "refused"
    assert worse.reason == "worse: benchmark: F1 at 0.5 s"
    floored = replace(evidence(exam), floor={"0.5 s": pair(0.95, 0.8, seed=4)})
    assert "first model" in judge(floored).reason


def test_late_picks_and_lost_events_are_refused() -> None:
    exam = pair(0.7, 0.85)
    late = replace(evidence(exam), exam_residuals_s={"S": ([0.0] * 30, [0.1] * 30)})
    assert judge(late).reason == "worse: exam: median S residual (s)"
    lost = replace(evidence(exam), events=(40, 38, 30))
    assert judge(lost).reason == "worse: events located"
    kept = replace(lost, events=(40, 38, 37))
    assert judge(kept).verdict == "promoted"
    noisy = judge(replace(kept, chance_events=(1, 12)))
    assert noisy.reason == "worse: events from time-shifted picks"
    assert judge(replace(kept, chance_events=(3, 6))).verdict == "promoted"


def test_facts_are_shown_and_not_judged() -> None:
    shown = replace(evidence(pair(0.7, 0.85)), facts={"exam: detection": (0.9, 0.1)})
    assert "| exam: detection | 0.900 | 0.100 |  |  | - |" in judge(shown).table()
    assert judge(shown).verdict == "promoted"


def test_a_small_exam_is_no_test_and_costs_nothing() -> None:
    found = judge(evidence(pair(0.2, 0.9, n_events=10)))
    assert (found.verdict, found.alpha) == ("untested", 0.0)
    with pytest.raises(DataError, match="no benchmark"):
        judge(replace(evidence(pair(0.5, 0.5)), benchmark={}))


def test_null_challengers_are_hardly_ever_promoted() -> None:
    """Each trial against the one champion spends less, all of them at most the budget."""
    runs, trials = 20, 6
    promoted = sum(
        any(
            judge(evidence(pair(0.8, 0.8, 30, seed=100 * run + n), trial=n)).verdict == "promoted"
            for n in range(1, trials + 1)
        )
        for run in range(runs)
    )
    assert promoted <= 4  # fewer than 1 is expected
    assert sum(alpha_of(n) for n in range(1, 1000)) < 0.05


STREAMS = [StreamId("XX", f"S{k}", "", "HH") for k in range(10)]


def reviewed(n_events: int = 40, seed: int = 0) -> tuple[list[Label], dict[StreamId, list[Pick]]]:
    """An analyst's labels, and what a champion finds that misses a third and errs now and then."""
    rng = np.random.default_rng(seed)
    labels: list[Label] = []
    found: dict[StreamId, list[Pick]] = {stream: [] for stream in STREAMS}
    for event in range(n_events):
        for stream in STREAMS:
            p = START + event * 120 * NS_PER_S + round(rng.uniform(2, 10) * NS_PER_S)
            s = p + round(rng.uniform(1.5, 8) * NS_PER_S)
            for phase, true_ns, spread in (("P", p, 0.02), ("S", s, 0.04)):
                off = rng.normal(0, spread)
                at = true_ns + round(off * NS_PER_S)
                located = off + rng.normal(0, spread)
                labels.append(Label(stream, at, phase, "manual", f"e{event}", located))
                if rng.random() < 0.65:
                    time = from_ns(true_ns) + timedelta(seconds=rng.normal(0, 2 * spread))
                    called = phase if rng.random() < 0.995 else "S"
                    pick = Pick(time, stream.seed_id("Z"), called, rng.uniform(0.3, 1), 0.05)
                    found[stream].append(pick)
    return labels, found


@pytest.mark.parametrize("seed", range(3))
def test_honest_labels_pass_the_audit(seed: int) -> None:
    labels, picks = reviewed(seed=seed)
    found = audit(labels, picks)
    assert not found.is_refused, found.reason
    assert len(found.suspects) < 0.02 * len(labels)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("share", SHARES)
def test_poisoned_labels_are_refused(poison: str, share: float) -> None:
    labels, picks = reviewed(60)
    bad = poisoned(labels, POISONS[poison], share)
    found = audit(bad, picks)
    assert found.is_refused, [str(finding) for finding in found.findings]
    assert found.reason


def test_windows_reviewed_whole_are_scored_by_event() -> None:
    labels, found = reviewed(2)
    window = TimeSpan(START, START + 240 * NS_PER_S)
    score, groups = scored([(STREAMS[0], window)], labels, found, 0.5)
    assert groups == ("e0", "e1", f"{STREAMS[0]} {START}")
    assert score.n_true == 4
    assert score.n_found == len(found[STREAMS[0]])
    assert score.counts[:, 2].sum() == score.residuals_s.size


def test_a_pick_where_a_person_could_not_tell_is_neither_right_nor_wrong() -> None:
    window = TimeSpan(START, START + 60 * NS_PER_S)
    at = START + 30 * NS_PER_S
    picks = {STREAMS[0]: [Pick(from_ns(at), STREAMS[0].seed_id("Z"), "P", 0.9, 0.05)]}
    unsure = Label(STREAMS[0], at, "P", "doubtful", actor="ada")
    for label, n_found in ((unsure, 0), (replace(unsure, actor=""), 1)):
        score, _ = scored([(STREAMS[0], window)], [label], picks, 0.5)
        assert (score.n_true, score.n_found) == (0, n_found)
