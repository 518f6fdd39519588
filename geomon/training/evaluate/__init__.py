"""How good a picker is: scores on labelled windows, false picks, robustness, and the report.

Everything is measured on what `geomon.picking.infer` gives, with the thresholds of the card, as
the picks of a catalogue are. `scores` and `labelled` count, `bootstrap` says how sure the counts
are, `budget` makes pickers comparable, and `evaluation` puts all of it together.
"""

from geomon.training.evaluate.labelled import best_threshold, pick_windows, score_windows
from geomon.training.evaluate.scores import TOLERANCES_S, Score, match, score

__all__ = [
    "TOLERANCES_S",
    "Score",
    "best_threshold",
    "match",
    "pick_windows",
    "score",
    "score_windows",
]
