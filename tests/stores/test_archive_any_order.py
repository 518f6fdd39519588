"""Any records, in any order, cut anyhow, twice: the archive's bytes are the same."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.ids import SeedId
from geomon.stores.archive import Archive
from geomon.times import NS_PER_S
from geomon.waveforms import Provenance, Segment
from tests.stores.archives import ALL, FIRST, HH, counts, cut, segment, timed
from tests.stores.contents import digest, examples

MIDNIGHT_S = 86_400
BASES = {c: counts(400, seed) for seed, c in enumerate("ZN")}
WHOLE_RATES = (100.0, 100.0, 40.0)
OTHER_RATES = (99.97, 250 / 3, 60.0)
few = st.integers(0, 3)


def recorded(
    draw: st.DrawFn, component: str, first: int, size: int, may_differ: bool
) -> np.ndarray:
    """Samples as another record of the same ground has them, or nearly; of any type."""
    samples = BASES[component][first : first + size].copy()
    if may_differ and draw(few) == 0:
        samples[draw(st.integers(0, samples.size - 1)) :] += 5
    kind = draw(st.sampled_from([np.int32, np.int32, np.float32, np.float64]))
    values = samples.astype(kind)
    if may_differ and kind is not np.int32 and draw(few) == 0:
        values[draw(st.integers(0, size - 1))] = draw(st.sampled_from([np.nan, -0.0, np.inf]))
    return values


@st.composite
def records(
    draw: st.DrawFn, rates: Sequence[float], phases: Sequence[int], *, may_differ: bool
) -> list[Segment]:
    """Records around midnight: rates that change, several phases, overlaps that differ."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        component = draw(st.sampled_from("ZZN"))
        first, size = draw(st.integers(0, 300)), draw(st.integers(1, 80))
        rate = draw(st.sampled_from(rates))
        start_ns = (MIDNIGHT_S - 2) * NS_PER_S + round(first * NS_PER_S / rate)
        samples = recorded(draw, component, first, size, may_differ)
        phase = draw(st.sampled_from(phases))
        found.append(segment(0, samples, component=component, rate=rate, ns=start_ns + phase))
    return found


def exact(segments: Sequence[Segment]) -> set[tuple[SeedId, int, float, str, bytes]]:
    """Every sample by channel, exact time, rate, type and bits."""
    return {
        (s.seed_id, s.time_ns(k), s.sampling_rate_hz, s.samples.dtype.str, value.tobytes())
        for s in segments
        for k, value in enumerate(s.samples)
    }


def written_twice(
    new_archive: Callable[[], Archive], whole: Sequence[Segment], data: st.DataObject
) -> Archive:
    """Write records one by one, and again cut, shuffled and doubled; both must end the same."""
    requests = [Provenance("files", f"{k % 3}", "0" * 64) for k in range(len(whole))]
    one = new_archive()
    for record, request in zip(whole, requests, strict=True):
        one.write([record], request)
    pieces = []
    for record, request in zip(whole, requests, strict=True):
        at = sorted(data.draw(st.sets(st.integers(1, record.samples.size), max_size=3)))
        pieces += [(piece, request) for piece in cut(record, *at)]
    pieces += pieces[: data.draw(st.integers(0, 3))]
    two = new_archive()
    for piece, request in data.draw(st.permutations(pieces)):
        two.write([piece], request)
    assert digest(one) == digest(two)
    assert one.verify() == ()
    return one


@pytest.mark.fault(24, 25, 26, 27, figure=True)
@given(records(WHOLE_RATES, (0, 0, 0, 1, 3_000_000, -4_999_999), may_differ=True), st.data())
@examples(20)
def test_whole_intervals_end_in_the_same_bytes_and_keep_every_sample(
    new_archive: Callable[[], Archive], whole: list[Segment], data: st.DataObject
) -> None:
    """Each record has a request of its own, as if each had been fetched alone."""
    archive = written_twice(new_archive, whole, data)
    kept = [*archive.read_stream(HH, ALL).segments, *archive.overflow(HH, ALL)]
    assert exact(kept) == exact(whole)


@pytest.mark.fault(24, 25, 26, 27, figure=True)
@given(records(OTHER_RATES, (0, 0, 3_000_000, -4_000_000), may_differ=True), st.data())
@examples(10)
def test_other_intervals_end_in_the_same_bytes(
    new_archive: Callable[[], Archive], whole: list[Segment], data: st.DataObject
) -> None:
    """Records are whole here: the start of a piece of one is rounded to a nanosecond."""
    requests = [Provenance("files", f"{k % 3}", "0" * 64) for k in range(len(whole))]
    given_ = list(zip(whole, requests, strict=True))
    archives = []
    for _ in range(2):
        archive = new_archive()
        again = given_[: data.draw(st.integers(0, 2))]
        for record, request in data.draw(st.permutations([*given_, *again])):
            archive.write([record], request)
        archives.append(archive)
    one, two = archives
    assert digest(one) == digest(two)
    assert one.verify() == ()
    kept = [*one.read_stream(HH, ALL).segments, *one.overflow(HH, ALL)]
    assert {found[3:] for found in exact(kept)} == {known[3:] for known in exact(whole)}


@given(
    st.sampled_from([30.0, 99.97, 250 / 3, 60.0]),
    st.sets(st.integers(1, 2999), max_size=6),
    st.randoms(use_true_random=False),
    st.integers(0, 10**9),
)
@examples(8)
def test_pieces_at_rates_without_whole_intervals_join_again(
    new_archive: Callable[[], Archive], rate: float, at: set[int], rng: random.Random, ns: int
) -> None:
    whole = segment(50, counts(3000), rate=rate, ns=ns)
    one = new_archive()
    one.write([whole], FIRST)
    pieces = cut(whole, *sorted(at))
    rng.shuffle(pieces)
    two = new_archive()
    for piece in pieces:
        two.write([piece], FIRST)
    assert digest(one) == digest(two)
    assert timed(two.read_stream(HH, ALL).segments) == timed([whole])
