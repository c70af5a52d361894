"""How busy days and hours are: growth, the week, the year, the time of day."""

from datetime import date

from example.chance import Weighted
from example.period import Period

GROWTH_A_YEAR = 1.6
WEB_WEEK = (1.04, 1.02, 1.02, 1.05, 0.98, 0.82, 1.07)
CARD_WEEK = (0.95, 0.88, 0.9, 0.96, 1.08, 1.2, 1.03)
YEAR = (0.86, 0.9, 0.96, 0.98, 1.0, 0.97, 1.02, 0.95, 1.0, 1.08, 1.42, 1.5)
HOURS = (8, 5, 3, 2, 2, 4, 9, 18, 30, 42, 50, 54, 58, 54, 50, 48, 48, 52, 60, 72, 78, 66, 42, 20)


def day_weights(period: Period, week: tuple[float, ...]) -> list[float]:
    """The relative business of each day of the period."""
    dates = [period.date(day) for day in range(period.days)]
    return [
        GROWTH_A_YEAR ** (day / 365) * week[on.weekday()] * YEAR[on.month - 1] for day, on in enumerate(dates)
    ]


def hours_of_day(shift: int = 0) -> Weighted[int]:
    """Draws an hour; `shift` moves the whole pattern later."""
    return Weighted(range(24), [HOURS[(hour - shift) % 24] for hour in range(24)])


def is_sale(on: date) -> bool:
    """Whether the shop holds a sale: in July, and in the last week of November."""
    return on.month == 7 or (on.month == 11 and on.day > 23)
