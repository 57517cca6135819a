"""Satellite fire pixels to fires: what one overpass saw burning in one place is one event."""

import numpy as np
import numpy.typing as npt

from truceline.fuse.columns import coded
from truceline.fuse.occurrences import Occurrences
from truceline.kernels.cluster import linked

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Two pixels of one overpass belong to one fire when their middles are at most this many sigmas of their joint
#: ellipse apart. The ellipse of a pixel is that of a uniform square and of the middle's own error, so that
#: pixels side by side are 2.0 (small pixels) to 2.4 sigmas apart, corner to corner 2.9 to 3.4, with one cold
#: pixel between them 4.1 to 4.8: those that touch are one fire.
_TOUCHING = 3.6

#: Within a fire the next pixel lies about a pixel away, not at the same point: the ellipses of the likelihood are
#: this much wider than those of the pixels.
_WIDER = 2.0

#: One overpass lasts minutes, 1 sigma in seconds: a granule's time stands for all its pixels, and a fire may lie
#: across two granules. The same satellite comes back after 100 minutes at the earliest.
_PASS_SIGMA_S = 300.0


def fires(occurred: Occurrences, rows: Ints) -> tuple[Ints, Array]:
    """Which fire each pixel belongs to: touching pixels that one satellite saw on one overpass.

    Pixels whose satellite is unknown (the short form of the files gives only a day) are put together as if seen
    by one. Only touching counts, so the order of rows cannot matter.

    Returns
    -------
    (n,) int64
        Labels 0, 1, … by first appearance.
    (n,) float64
        Log of p(pixel | same fire as its best neighbour) / p(pixel | another fire); -inf for single pixels.
    """
    said = occurred.statements(rows)
    wider = _WIDER**2
    said = said._replace(
        var_e=said.var_e * wider,
        cov_en=said.cov_en * wider,
        var_n=said.var_n * wider,
        var_s=np.where(np.isinf(said.var_s), said.var_s, np.maximum(said.var_s, _PASS_SIGMA_S**2)),
        group=coded(occurred.table["sensor"])[0][rows],
    )
    return linked(said, gate=_TOUCHING / _WIDER, threshold=-np.inf)
