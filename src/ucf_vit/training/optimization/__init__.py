"""Optimizer, learning rate, scale of the loss, and the average of the weights."""
