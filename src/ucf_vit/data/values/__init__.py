"""Values of images and labels: normalisation, label mapping, and the statistics that they need."""
