import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.geo import EARTH_RADIUS_M, Box, Point, bounding_box, distance_m

POINTS = st.builds(Point, st.floats(-180, 180), st.floats(-90, 90))
JIEFANGBEI = Point(106.5772, 29.5571)


def test_a_point_is_read_from_longitude_and_latitude() -> None:
    assert Point.parse("106.55,29.56") == Point(106.55, 29.56)
    assert Point.parse(" -0.5 , +90 ") == Point(-0.5, 90.0)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,1", "1e2,1", "1;2", "１,2", "1,2\n3"])
def test_what_is_no_pair_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"106\.55,29\.56"):
        Point.parse(text)


def test_places_off_the_earth_are_refused() -> None:
    with pytest.raises(ValueError, match="longitude must lie"):
        Point.parse("180.1,0")
    with pytest.raises(ValueError, match="latitude must lie"):
        Point.parse("29.56,106.55")
    with pytest.raises(ValueError, match="longitude"):
        Point(math.nan, 0)
    with pytest.raises(msgspec.ValidationError, match="latitude"):
        msgspec.json.decode(b'{"lng": 0, "lat": 91}', type=Point)


def test_known_distances() -> None:
    degree = math.pi * EARTH_RADIUS_M / 180
    assert distance_m(Point(0, 0), Point(0, 1)) == pytest.approx(degree)
    assert distance_m(Point(179.5, 0), Point(-179.5, 0)) == pytest.approx(degree)
    assert distance_m(Point(0, 90), Point(120, 90)) == pytest.approx(0, abs=1e-6)
    assert distance_m(Point(0, 0), Point(180, 0)) == pytest.approx(math.pi * EARTH_RADIUS_M)
    assert distance_m(JIEFANGBEI, Point(106.5327, 29.5748)) == pytest.approx(4_730, rel=0.01)


@given(POINTS, POINTS)
def test_distance_is_symmetric_and_bounded(a: Point, b: Point) -> None:
    assert distance_m(a, b) == pytest.approx(distance_m(b, a), abs=1e-3)
    assert 0 <= distance_m(a, b) <= math.pi * EARTH_RADIUS_M + 1
    assert distance_m(a, a) == 0


@given(POINTS, st.floats(0, 360), st.floats(0, 1), st.floats(0, 21_000_000))
def test_the_box_contains_every_point_within_the_radius(
    center: Point, bearing: float, part: float, radius_m: float
) -> None:
    lat, lng = math.radians(center.lat), math.radians(center.lng)
    angle, turn = part * radius_m / EARTH_RADIUS_M, math.radians(bearing)
    sine = math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(turn)
    there = math.asin(max(-1.0, min(1.0, sine)))
    east = math.sin(turn) * math.sin(angle) * math.cos(lat)
    north = math.cos(angle) - math.sin(lat) * math.sin(there)
    far = math.degrees(lng + math.atan2(east, north))
    point = Point((far + 540) % 360 - 180, math.degrees(there))
    box = bounding_box(center, radius_m)
    assert -180 <= box.west <= box.east <= 180
    assert -90 <= box.south <= box.north <= 90
    # At the poles the way there and back loses metres to rounding; what the distance says decides.
    assert box.contains(point) or distance_m(center, point) > radius_m - 1


def test_a_box_in_the_city_is_tight() -> None:
    box = bounding_box(JIEFANGBEI, 1000)
    assert box.contains(Point(106.5772 + 0.0103, 29.5571))
    assert not box.contains(Point(106.5772 + 0.0104, 29.5571))
    assert not box.contains(Point(106.5772, 29.5571 + 0.0091))


def test_poles_and_the_180th_meridian_take_in_all_longitudes() -> None:
    assert bounding_box(Point(10, 89.999), 1000).contains(Point(-170, 89.999))
    assert bounding_box(Point(179.999, 0), 1000).contains(Point(-179.999, 0))
    assert bounding_box(Point(0, 0), 1e12) == Box(-180, -90, 180, 90)


@pytest.mark.parametrize("radius_m", [-1.0, math.inf, math.nan])
def test_a_radius_must_be_a_length(radius_m: float) -> None:
    with pytest.raises(ValueError, match="radius_m"):
        bounding_box(JIEFANGBEI, radius_m)
