"""A score as a person reads it: what was compared, then one figure a line with its spread and what is best."""

from truceline.score import Score, Spread


def told(score: Score) -> str:
    """Text of some twenty lines, without colours."""
    step = f"every {_number(score.step_s)} s" if score.step_s else "as given"
    lines = [
        f"{score.objects:,} objects of truth, {score.tracks:,} tracks, at {score.instants:,} instants ({step}),",
        f"{score.first_at} to {score.last_at}; cutoff {_number(score.cutoff_m)} m, order {_number(score.order)}",
        "",
        f"{'':34}{'figure':>10}  {'over time: median':>18} {'a tenth below':>14} {'a tenth above':>14}  best",
    ]

    def row(name: str, value: float | None, spread: Spread | None, best: str, unit: str = "") -> None:
        over = [""] * 3 if spread is None else [_number(v) for v in (spread.median, spread.lower, spread.upper)]
        figure = _number(value) + (f" {unit}" if unit and value is not None else "")
        lines.append(f"{name:34}{figure:>10}  {over[0]:>18} {over[1]:>14} {over[2]:>14}  {best}".rstrip())

    row("GOSPA", score.gospa_m.mean, score.gospa_m, "0", "m")
    parts = (score.localisation_share, score.missed_share, score.false_share)
    if all(part is not None for part in parts):
        said = ", ".join(f"{100 * (p or 0):.0f} % {name}" for p, name in zip(parts, _PARTS, strict=True))
        lines.append(f"{'  of its power':34}{said}")
    row("  an object", score.gospa_per_object_m, None, "0", "m")
    row("OSPA", score.ospa_m.mean, score.ospa_m, "0", "m")
    row("completeness", score.completeness, score.completeness_spread, "1")
    row("ambiguity (tracks an object)", score.ambiguity, score.ambiguity_spread, "1")
    row("spuriousness", score.spuriousness, score.spuriousness_spread, "0")
    row("position error, root mean square", score.position_rmse_m, score.position_spread, "0", "m")
    row("velocity error, root mean square", score.velocity_rmse_mps, None, "0", "m/s")
    row("altitude error, root mean square", score.altitude_rmse_m, None, "0", "m")
    row("identity switches", float(score.switches), None, "0")
    row("  an object and hour", score.switches_per_object_hour, None, "0")
    row("breaks", float(score.breaks), None, "0")
    row("tracks an object had", score.tracks_per_object, None, "1")
    row("longest piece on one track", score.longest_share, None, "1")
    row("purity of tracks", score.purity, None, "1")
    row("objects never tracked", float(score.never_tracked), None, "0")
    lines += [
        "",
        f"Over all instants {score.missed:,} missed, {score.false:,} false, {score.redundant:,} redundant.",
    ]
    return "\n".join(lines)


_PARTS = ("localisation", "missed", "false")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) < 100 else f"{value:.1f}"
