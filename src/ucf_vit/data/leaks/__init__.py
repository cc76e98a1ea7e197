"""Copies of items: how they are known again, whatever was done to them."""
