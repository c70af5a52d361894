"""Alerts: people are told when something breaks, stays broken or recovers, and not otherwise."""
