"""Places on the map.

There is one coordinate system everywhere: GCJ-02, which WeChat, Tencent and Amap speak and Chinese law asks
for. Nothing is converted here; a WGS-84 position (a bare GPS receiver) has to be converted before it enters,
or it lies some hundred metres off. Distances treat the Earth as a sphere, which is right to 0.5 %.
"""

import math
import re
from typing import Self

from msgspec import Struct

EARTH_RADIUS_M = 6_371_008.8

# Widens a box by about 0.1 mm, so that rounding never excludes a point that lies exactly on the radius.
_MARGIN_DEGREES = 1e-9
_NUMBER = r"[+-]?\d{1,3}(?:\.\d{1,20})?"
_PAIR = re.compile(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*", re.ASCII)


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """A position in GCJ-02 degrees; raises ValueError (msgspec: ValidationError) if it is not on Earth."""

    lng: float
    lat: float

    def __post_init__(self) -> None:
        if not -180 <= self.lng <= 180:
            raise ValueError(f"longitude must lie between -180 and 180, not {self.lng}")
        if not -90 <= self.lat <= 90:
            raise ValueError(f"latitude must lie between -90 and 90, not {self.lat}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads "lng,lat" such as "106.55,29.56"; raises ValueError with a sentence saying what is wrong."""
        match = _PAIR.fullmatch(text)
        if match is None:
            raise ValueError('a place is written "longitude,latitude", for example "106.55,29.56"')
        return cls(float(match[1]), float(match[2]))


class Box(Struct, frozen=True):
    """A rectangle in degrees, `west <= east` and `south <= north` always."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, point: Point) -> bool:
        return self.west <= point.lng <= self.east and self.south <= point.lat <= self.north


def distance_m(a: Point, b: Point) -> float:
    """Metres along the great circle (haversine)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat = math.sin((lat_b - lat_a) / 2)
    half_lng = math.sin(math.radians(b.lng - a.lng) / 2)
    chord = half_lat**2 + math.cos(lat_a) * math.cos(lat_b) * half_lng**2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))


def bounding_box(center: Point, radius_m: float) -> Box:
    """A box that contains every point within `radius_m` metres of `center`, for a cheap first filter.

    Near a pole, and across the 180th meridian, the box takes in all longitudes: too large there, never too
    small. Raises ValueError for a negative or endless radius.
    """
    if not 0 <= radius_m < math.inf:
        raise ValueError("radius_m must be a finite number of metres, not negative")
    angle = radius_m / EARTH_RADIUS_M
    reach = math.degrees(angle) + _MARGIN_DEGREES
    south, north = max(-90.0, center.lat - reach), min(90.0, center.lat + reach)
    if south == -90.0 or north == 90.0:
        return Box(-180.0, south, 180.0, north)
    # No pole is within reach, hence angle < 90 degrees and the quotient below 1.
    sine = math.sin(angle) / math.cos(math.radians(center.lat))
    spread = math.degrees(math.asin(min(1.0, sine))) + _MARGIN_DEGREES
    west, east = center.lng - spread, center.lng + spread
    if west < -180.0 or east > 180.0:
        return Box(-180.0, south, 180.0, north)
    return Box(west, south, east, north)
