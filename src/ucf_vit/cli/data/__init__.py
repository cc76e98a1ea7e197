"""Commands about data: made, measured, prepared, planned, compared."""
