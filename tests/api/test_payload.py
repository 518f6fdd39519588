"""What is shipped with the page."""

from tests.benchmarks import wheel


def test_the_wheel_holds_page_and_map_and_stays_small():
    names = {str(file.relative_to(wheel.ROOT)) for file in wheel.files()}
    assert "geomon/api/static/index.html" in names
    assert any(name.endswith("countries-10m.json") for name in names)
    assert not any(name.endswith(".map") for name in names)
    assert wheel.packed_mb() <= wheel.MOST_MB
