"""Figures, panels and pages, used by hooks, reports and commands."""
