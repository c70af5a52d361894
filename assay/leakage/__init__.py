"""Check that a training set holds nothing that was not known yet: each check tries to find a leak."""

from assay.leakage.find import check, find_leaks
from assay.leakage.findings import Check, LeakFinding

__all__ = ["Check", "LeakFinding", "check", "find_leaks"]
