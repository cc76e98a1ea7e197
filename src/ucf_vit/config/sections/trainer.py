"""Section `trainer`: length, precision, output, validation and checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from ucf_vit.config.sections.fields import LocalPath, Name, Number, Options, Section, Whole, key, known_to
from ucf_vit.registries.hooks import HOOKS
from ucf_vit.registries.tasks import TASKS, task_name

TaskName = Annotated[Name, AfterValidator(task_name), known_to(TASKS)]
HookName = Annotated[Name, known_to(HOOKS)]


class Trainer(Section):
    """Length and precision of the training, output, validation and checkpoints."""

    task: TaskName | None = key(
        None,
        "The task: masked (a masked autoencoder), segmentation, token_segmentation (segmentation of "
        "adaptive patches), classification, diffusion, a name that another package registers, or a "
        "class of your own. If it is not given, the training script or --task decides, or else the keys in "
        "the file: feature_size (segmentation), mask_ratio (masked), num_time_steps (diffusion), num_classes "
        "(classification; with adaptive_patching also token_segmentation), together with the name of the "
        "file's folder if that is a task's; they have to leave one task. Older names: mae, unetr, sap, vit.",
        derived="by the script, --task, or the file's keys and folder",
    )
    task_options: Options = key(
        {},
        "Further options for the constructor of the task, by name: of a task of your own, or those that have "
        "no key, such as label_smoothing of classification.",
    )
    max_epochs: Whole = key(100, "Passes over the training data.", "epochs", ge=1)
    max_steps: Whole | None = key(
        None, "Stop after this number of optimizer steps, even within an epoch.", "optimizer steps", ge=1
    )
    data_type: Literal["float32", "bfloat16", "float16"] = key(
        "float32", "Precision of activations and gradients; weights and optimizer stay in float32."
    )
    activation_checkpointing: Literal["none", "block", "selective"] = key(
        "none",
        "Activations to recompute in the backward pass instead of storing them: none, those of every block, "
        "or only those of attention.",
    )
    compile: bool = key(False, "Compile every transformer block (torch.compile).")
    device: Literal["auto", "cpu", "cuda", "mps"] = key(
        "auto", "Device; auto takes CUDA or ROCm, else MPS, else the CPU. ROCm is called cuda."
    )
    seed: Whole = key(0, "Seed of all randomness of the run.", ge=0)
    checkpoint_path: LocalPath = key(
        "",
        "Output directory of the run: checkpoints, metrics, log, report.",
        derived="runs/TASK/NAME_OF_FILE",
    )
    checkpoint_filename: str = key(
        "last", "Name of the checkpoints; _even and _odd are appended in turn.", min_length=1
    )
    checkpoint_filename_for_loading: str = key(
        "", "Checkpoint to resume from, e.g. last_even.", derived="the newest valid one"
    )
    resume_from_checkpoint: bool = key(False, "Continue the run in checkpoint_path where it stopped.")
    overwrite: bool = key(
        False, "Start anew even if checkpoint_path holds a run already; only its own files there are removed."
    )
    start_from: LocalPath = key(
        "",
        "Run (its best checkpoint), checkpoint (RUN/best, RUN/last) or .safetensors file of the same "
        "network, whose weights (averaged ones if it has them) a new run starts from. A resumed run ignores "
        "it.",
    )
    start_without: list[str] = key(
        [],
        "Names of the network's modules that keep their initial values instead of those in start_from, such "
        "as head if the classes differ.",
        derived="all weights are loaded",
    )
    use_pretrained_mae_model: bool = key(False, "Start the encoder from that of a masked autoencoder.")
    mae_checkpoint_path: LocalPath = key(
        "", "Output directory of the masked autoencoder's run, or one of its checkpoints (RUN/best)."
    )
    mae_checkpoint_filename: str = key(
        "", "Which checkpoint of that directory, e.g. best or last_odd.", derived="the newest valid one"
    )
    validation_epochs: Whole = key(1, "Epochs between validations; 0: never.", "epochs", ge=0)
    checkpoint_steps: Whole = key(
        0, "Optimizer steps between further saves; 0: only after each epoch.", "optimizer steps", ge=0
    )
    checkpoint_async: bool = key(
        False,
        "Write checkpoints in the background from copies in host memory; training waits only for the copies.",
    )
    checkpoint_keep_last: Whole = key(
        2,
        "Newest checkpoints to keep: _even, _odd, and older ones as _step_N; others are removed at the next "
        "save.",
        "checkpoints",
        ge=2,
    )
    checkpoint_keep_best: Whole = key(
        1, "Best checkpoints to keep: best, and the next best as best_step_N.", "checkpoints", ge=1
    )
    early_stop_epochs: Whole = key(
        0,
        "Validations without improvement before the run stops; 0: never. Those without a value do not count.",
        "validations",
        ge=0,
    )
    gradient_clip: Number = key(1.0, "Largest norm of the gradient; 0: no clipping.", ge=0)
    ema_decay: Number = key(
        0.0,
        "Decay of a moving average of the weights, such as 0.999; lower in the first steps. Validation, "
        "pictures, the checkpoint best, evaluation and runs that start from this one use the average. "
        "0: no average.",
        "fraction",
        ge=0,
        lt=1,
    )
    accumulate_steps: Whole = key(1, "Batches whose gradients make one optimizer step.", "batches", ge=1)
    log_steps: Whole = key(10, "Optimizer steps between lines of metrics.", "optimizer steps", ge=1)
    max_bad_losses: Whole = key(
        5,
        "Abort after that many steps in a row whose loss or gradient is NaN or infinite; in float16 only "
        "those at a loss scale of 1 count.",
        "steps",
        ge=1,
    )
    pictures: bool = key(True, "Draw pictures at each validation.")
    hooks: list[HookName] = key(
        [],
        "Hooks in addition to the built-in ones: mlflow or tensorboard (docs/tracking.md), other registered "
        "names, or path/to/file.py:Class.",
    )
    sliding_window_overlap: Number = key(
        0.5,
        "Fraction of a tile that neighbouring tiles have in common when whole volumes are evaluated.",
        "fraction",
        ge=0,
        lt=1,
    )
