"""What a command says it did: words and units, no news left out and none made up."""

from geomon.services.locate import LocateReport
from geomon.services.pick import PickReport


def test_a_report_is_one_line_of_words() -> None:
    located = LocateReport(n_tiles=5, n_events=3, n_created=3, took_s=2.5)
    assert located.summary() == (
        "tiles 5, solved 0, events 3, created 3, updated 0, withdrawn 0 in 2.5 s"
    )
    picked = PickReport(n_failed=2, n_units=4, picked_s=3930.4, took_s=1234.5)
    assert picked.summary().startswith("failed 2, units 4, picked 3930 s, picks 0")
    assert picked.summary().endswith(" in 1234 s")
