"""Values of images and labels: normalization, class numbers, moments, percentiles."""
