"""Figures from the tables, and their renderings."""
