"""Records runs in MLflow and TensorBoard, without ever holding up a training.

The hook `mlflow` only appends events to a file in the directory of the run. A process of its own, which works
at a lower priority, delivers them to the store: it retries for as long as the training runs, and what is left
stays in the file for the next time.
"""
