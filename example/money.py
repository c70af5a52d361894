"""Money is counted in pence, so that prices and totals agree to the penny."""


def pounds(pence: int) -> str:
    """1250 as 12.50, -5 as -0.05."""
    return f"{'-' if pence < 0 else ''}{abs(pence) // 100}.{abs(pence) % 100:02d}"
