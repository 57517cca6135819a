"""Movements by loops, shapely and plain random numbers; slow, and nothing shared with what it checks."""

from math import exp, hypot, log, pi, sin, sqrt

import shapely


def curve(begin, end, leave, arrive, s):
    """A cubic from `begin` to `end` with these velocities times the length in time, at share s."""
    (x0, y0), (x1, y1), (a, b), (c, d) = begin, end, leave, arrive
    h00, h10, h01, h11 = 2 * s**3 - 3 * s**2 + 1, s**3 - 2 * s**2 + s, -2 * s**3 + 3 * s**2, s**3 - s**2
    return h00 * x0 + h10 * a + h01 * x1 + h11 * c, h00 * y0 + h10 * b + h01 * y1 + h11 * d


def share_touching(area, begin, end, leave, arrive, errors, bow_m, rng, paths=4_000, pieces=12):
    """Of random paths between two fixes the share that meets the area. `errors`: two 2 x 2 lower triangles."""
    met = 0
    height = sqrt(1 + 1 / 81)
    for _ in range(paths):
        z = rng.normal(size=2)
        ends = [
            (p[0] + r[0][0] * z[0], p[1] + r[1][0] * z[0] + r[1][1] * z[1])
            for p, r in zip((begin, end), errors, strict=True)
        ]
        waves = rng.normal(size=(3, 2)) * bow_m / height
        points = []
        for k in range(pieces + 1):
            s = k / pieces
            x, y = curve(*ends, leave, arrive, s)
            for m in range(3):
                x += waves[m][0] * sin((m + 1) * pi * s) / (m + 1) ** 2
                y += waves[m][1] * sin((m + 1) * pi * s) / (m + 1) ** 2
            points.append((x, y))
        met += shapely.intersects(area, shapely.LineString(points))
    return met / paths


def visits(inside, touching):
    """What an object did to a zone, from whether each fix is inside and each way between two fixes touches it.

    Returns
    -------
    list of (outcome, first fix, last fix): the fixes that bound it in time.
    """
    out, last = [], len(inside) - 1
    k = 0
    while k <= last:
        if inside[k]:
            end = k
            while end < last and inside[end + 1]:
                end += 1
            if k > 0:
                out.append(("movement.enter", k - 1, k))
            out.append(("movement.inside", k, end))
            if end < last:
                out.append(("movement.exit", end, end + 1))
            k = end + 1
        else:
            if k < last and not inside[k + 1] and touching[k]:
                out.append(("movement.cross", k, k + 1))
            k += 1
    return out


def stays(rows, radius_m, least_s, gap_s):
    """[(first, last)] of one object's rows (t, east, north)."""
    out, i = [], 0
    while i < len(rows):
        j = i
        while (
            j + 1 < len(rows)
            and rows[j + 1][0] - rows[j][0] <= gap_s
            and hypot(rows[j + 1][1] - rows[i][1], rows[j + 1][2] - rows[i][2]) <= radius_m
        ):
            j += 1
        if rows[j][0] - rows[i][0] >= least_s:
            out.append((i, j))
            i = j + 1
        else:
            i += 1
    return out


def heard(reports, sensor, column, row, slot):
    """How many of (sensor, column, row, slot) are of the sensor and slot and within one cell."""
    return sum(s == sensor and t == slot and abs(c - column) <= 1 and abs(r - row) <= 1 for s, c, r, t in reports)


def dark(covered, stopping, leaving, losses):
    """Probability that an object stopped sending: rates an hour, `covered` the probability that it would be heard."""
    return stopping / (stopping + leaving * (1 - covered) + losses)


def losses(long_s, usual_s, others, hours, weight=100.0, power=3.0):
    """Ordinary silences as long, an hour: `others` seen in `hours` of watching, and a guess worth `weight` hours."""
    guess = 3600 / usual_s * (long_s / usual_s) ** -power
    return (others + guess * weight) / (hours + weight)


def log_odds(p):
    return log(p / (1 - p))


def logistic(x):
    return 1 / (1 + exp(-x))
