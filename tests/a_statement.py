"""Builders of what kernels that tell one occurrence from two are given."""

import math

import numpy as np

from truceline.kernels.likelihood import Statements

HOUR, DAY = 3600.0, 86400.0

#: Two kinds that are sometimes confused, and something else.
AGREEMENT = np.array([[1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 0.0]])


def statements(*rows, kinds=2) -> Statements:
    """Each row: east, north (km), sigma (m), at (h) or (from, until) (h), and what differs from the rest."""
    n = len(rows)
    s = Statements(
        *(np.zeros(n) for _ in range(6)),
        np.full(n, np.inf),
        np.full(n, -np.inf),
        np.full(n, np.inf),
        np.zeros((n, kinds)),
        np.zeros((n, kinds)),
        np.full(n, math.log(1e-4)),
        np.zeros(n, np.int64),
    )
    for i, (east, north, sigma, when, *more) in enumerate(rows):
        given = more[0] if more else {}
        s.east_m[i], s.north_m[i] = 1000 * east, 1000 * north
        s.var_e[i], s.var_n[i], s.cov_en[i] = sigma**2, sigma**2 * given.get("ratio", 1.0), given.get("cov", 0.0)
        if isinstance(when, tuple):
            s.begins_s[i], s.ends_s[i] = when[0] * HOUR, when[1] * HOUR
            s.at_s[i] = (s.begins_s[i] + s.ends_s[i]) / 2
        else:
            s.at_s[i], s.var_s[i] = when * HOUR, given.get("sigma_s", 600.0) ** 2
        s.kinds[i] = given.get("kinds", [1.0] + [0.0] * (kinds - 1))
        s.log_rate[i] = math.log(given.get("rate", 1e-4))
        s.group[i] = given.get("group", 0)
    s.expected[:] = s.kinds @ AGREEMENT[:kinds, :kinds]
    return s
