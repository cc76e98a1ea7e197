"""Programs that exported folders contain. They import nothing of this package."""
