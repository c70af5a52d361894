"""Proof that a training set holds nothing that was not known yet: checks that try to find a leak."""

from assay.leakage.find import check, find_leaks
from assay.leakage.findings import Check, LeakFinding

__all__ = ["Check", "LeakFinding", "check", "find_leaks"]
