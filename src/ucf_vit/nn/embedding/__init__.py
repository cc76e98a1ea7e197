"""From patches to tokens: projections, positions, variables and conditions."""
