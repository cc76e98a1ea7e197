"""Figures and HTML pages for hooks, reports and commands."""
