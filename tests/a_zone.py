"""Builders of polygons and covariances for tests of geometry."""

import numpy as np
import shapely

SQUARE = shapely.box(0, 0, 10, 10)


def star(rng, corners=12, radius=100.0, centre=(0.0, 0.0), whole=False):
    """A polygon with spikes and bays; with `whole` numbers borders are easily hit."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.3, 1.0, corners)
    points = np.column_stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)])
    return shapely.Polygon(np.rint(points) if whole else points)


def mixed(rng, count=60, spread=1000.0):
    """Circles, stars, boxes, corridors and rings, lying over each other."""
    areas = []
    for i in range(count):
        x, y, size = *rng.uniform(0, spread, 2), rng.uniform(5, 60)
        areas += [
            [
                shapely.Point(x, y).buffer(size),
                star(rng, 30, size, (x, y)).buffer(0),
                shapely.box(x - size, y - size / 2, x + size, y + size),
                shapely.LineString(np.cumsum(rng.normal(0, size, (20, 2)), axis=0) + np.array([x, y])).buffer(size / 5),
                shapely.Point(x, y).buffer(size) - shapely.Point(x + size / 4, y).buffer(size / 2),
            ][i % 5]
        ]
    return areas


def covariance_of(rng, least=0.5, most=60.0):
    """A covariance of any size, shape and direction."""
    turn, axes = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(least), np.log(most), 2))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return turned @ np.diag(axes**2) @ turned.T
