"""Deployable forms of a trained run: programs of torch and ONNX, and folders for other tools."""
