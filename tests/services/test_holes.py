"""Which channels are asked for which spans."""

from geomon.ids import SeedId
from geomon.services.holes import _grouped
from geomon.times import NS_PER_S, TimeSpan

Z, N, E = (SeedId.parse(f"CX.PB01..HH{letter}") for letter in "ZNE")


def seconds(start: float, end: float) -> TimeSpan:
    return TimeSpan(round(start * NS_PER_S), round(end * NS_PER_S))


def test_components_that_lack_nearly_the_same_are_asked_for_together() -> None:
    wanted = {Z: [seconds(100, 200)], N: [seconds(104, 200)], E: [seconds(97, 200)]}
    assert list(_grouped(wanted)) == [(seconds(97, 200), (Z, N, E))]


def test_a_dead_channel_does_not_make_the_others_be_asked_for_again() -> None:
    wanted = {Z: [seconds(0, 1800)], N: [seconds(1790, 1800)], E: [seconds(1788, 1800)]}
    assert list(_grouped(wanted)) == [
        (seconds(0, 1800), (Z,)),
        (seconds(1788, 1800), (E, N)),
    ]


def test_parts_that_nobody_lacks_most_of_are_asked_for_of_all() -> None:
    wanted = {Z: [seconds(0, 10)], N: [seconds(10, 20)], E: [seconds(20, 30)]}
    assert list(_grouped(wanted)) == [(seconds(0, 30), (Z, N, E))]


def test_many_holes_are_one_request() -> None:
    wanted = {Z: [seconds(20 * k, 20 * k + 5) for k in range(100)]}
    assert list(_grouped(wanted)) == [(seconds(0, 1985), (Z,))]


def test_nothing_wanted_is_nothing_asked() -> None:
    assert list(_grouped({Z: [], N: []})) == []
