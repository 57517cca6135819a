"""Who gets what: the cheapest pairing of rows with columns where only few pairs are possible.

Each row (a track) takes one of its columns (detections) or its own private miss, which nobody else can take.
Rows are added one by one, each along the shortest augmenting path (Jonker & Volgenant 1987), searched no farther
than the cost at which giving up a row is cheaper; so the work stays local, however widely gates overlap.
"""

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def assign(start, column, cost, miss, columns):  # type: ignore[no-untyped-def]
    """The pairing of least total cost, each unpaired row paying `miss`.

    Parameters
    ----------
    start : (n + 1,) int64
        Where each row's edges begin in `column` and `cost`.
    column : (e,) int64
        Columns in range(columns), each at most once a row. Not checked. Negative: the edge does not count.
    cost : (e,) float64
        Not NaN. Edges that cost `miss` or more are never taken.
    miss : float
    columns : int

    Returns
    -------
    (n,) int64
        The column of each row, -1 for a miss. Of equally cheap pairings always the same, by the order of rows and
        edges.
    """
    rows = len(start) - 1
    taken_by = np.full(columns, -1, np.int64)
    price = np.zeros(columns)  # dual of columns, at most 0
    reach = np.empty(columns)
    stamp = np.full(columns, -1, np.int64)  # the row whose search has seen, or settled, a column
    settled = np.full(columns, -1, np.int64)
    came_from = np.empty(columns, np.int64)
    worth = np.zeros(rows)  # dual of rows
    match = np.full(rows, -1, np.int64)
    seen = np.empty(columns, np.int64)
    for new in range(rows):
        best, best_column = miss, np.int64(-1)
        for e in range(start[new], start[new + 1]):
            j = column[e]
            if j >= 0 and cost[e] - price[j] < best:
                best, best_column = cost[e] - price[j], j
        worth[new] = best
        if best_column < 0:
            continue
        if taken_by[best_column] < 0:
            taken_by[best_column] = new
            match[new] = best_column
            continue
        i, so_far, i_worth = np.int64(new), 0.0, 0.0
        limit, free_column, free_row = miss, np.int64(-1), np.int64(new)
        listed, done = 0, 0
        while True:
            for e in range(start[i], start[i + 1]):
                j = column[e]
                if j < 0 or settled[j] == new:
                    continue
                there = so_far + cost[e] - price[j] - i_worth
                if there >= limit:
                    continue
                if stamp[j] != new:
                    stamp[j] = new
                    seen[listed] = j
                    listed += 1
                elif there >= reach[j]:
                    continue
                reach[j] = there
                came_from[j] = i
                if taken_by[j] < 0:
                    limit, free_column, free_row = there, j, np.int64(-1)
            nearest, at = limit, -1
            for k in range(done, listed):
                if reach[seen[k]] < nearest:
                    nearest, at = reach[seen[k]], k
            if at < 0:
                break
            j = seen[at]
            seen[at] = seen[done]
            seen[done] = j
            done += 1
            settled[j] = new
            so_far = reach[j]
            i = taken_by[j]
            i_worth = worth[i]
            if so_far + miss - i_worth < limit:  # cheaper to let that row miss
                limit, free_column, free_row = so_far + miss - i_worth, np.int64(-1), i
        for k in range(done):
            j = seen[k]
            price[j] += reach[j] - limit
            worth[taken_by[j]] -= reach[j] - limit
        worth[new] = limit
        if free_column >= 0:
            j = free_column
        else:
            if free_row == new:
                continue
            j = match[free_row]
            match[free_row] = -1
            worth[free_row] = miss
        while True:  # hand the columns on, back along the path
            i = came_from[j]
            handed = match[i]
            match[i] = j
            taken_by[j] = i
            if i == new:
                break
            j = handed
    return match
