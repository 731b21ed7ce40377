"""Power against the published table, simulation and plain enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from judgelab.metrics.discordant import mcnemar
from judgelab.metrics.power import detectable, mcnemar_power

# Simulated: items for a difference to be shown with 80 % power, by share of discordant items.
TABLE = [
    (305, 0.10, 0.05),
    (469, 0.15, 0.05),
    (765, 0.25, 0.05),
    (106, 0.15, 0.10),
    (192, 0.25, 0.10),
    (1975, 0.10, 0.02),
]


@pytest.mark.parametrize(("n", "share", "difference"), TABLE)
def test_the_table(n: int, share: float, difference: float) -> None:
    assert mcnemar_power(n, share, difference) == pytest.approx(0.8, abs=0.008)
    assert detectable(n, share) == pytest.approx(difference, rel=0.01)


@pytest.mark.parametrize(
    ("n", "share", "difference", "level"),
    [(40, 0.3, 0.2, 0.95), (12, 1.0, 0.5, 0.95), (25, 0.4, 0.4, 0.99), (30, 0.2, 0.0, 0.9)],
)
def test_power_is_the_sum_over_all_tables(
    n: int, share: float, difference: float, level: float
) -> None:
    first, second = (share + difference) / 2, (share - difference) / 2
    power = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            if mcnemar(b, c).midp < 1 - level:
                ways = math.comb(n, b) * math.comb(n - b, c)
                power += ways * first**b * second**c * (1 - share) ** (n - b - c)
    assert mcnemar_power(n, share, difference, level) == pytest.approx(power, abs=1e-9)


def test_detectable_is_where_the_power_is_reached() -> None:
    for n, share in [(60, 0.2), (500, 0.05), (5000, 0.3)]:
        found = detectable(n, share, power=0.9, level=0.99)
        assert found is not None
        held = max(share, found)
        assert mcnemar_power(n, held, found, 0.99) == pytest.approx(0.9, abs=0.01)


def test_without_discordant_items_they_are_all_to_the_credit_of_one() -> None:
    """Five of them have a mid-p of 1/32."""
    found = detectable(200, 0.0)
    assert found is not None
    four = sum(math.comb(200, k) * found**k * (1 - found) ** (200 - k) for k in range(5))
    assert 1 - four == pytest.approx(0.8, abs=0.001)


def test_more_items_show_less_and_a_stricter_level_needs_more() -> None:
    found = [detectable(n, 0.15) for n in (20, 50, 100, 400, 10_000)]
    assert None not in found
    assert found == sorted(found, reverse=True)
    usual, strict = detectable(100, 0.15), detectable(100, 0.15, level=0.99)
    assert usual is not None
    assert strict is not None
    assert strict > usual


def test_too_few_items_show_nothing() -> None:
    assert detectable(4, 0.5) is None
    assert detectable(0, 0.0) is None
    assert detectable(5, 0.5) is not None
    assert mcnemar_power(0, 0.0, 0.0) == 0.0


@pytest.mark.parametrize("values", [(10, 0.2, 0.3), (10, 1.2, 0.3), (-1, 0.2, 0.1)])
def test_shares_must_fit(values: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="difference <= discordant_share"):
        mcnemar_power(*values)


def test_detectable_refuses_a_power_of_one() -> None:
    with pytest.raises(ValueError, match="power"):
        detectable(10, 0.2, power=1.0)
    with pytest.raises(ValueError, match="share"):
        detectable(10, np.nan)
