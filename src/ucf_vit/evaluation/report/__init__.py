"""The page of one evaluation: distributions, pictures of cases, volumes, and all scores."""
