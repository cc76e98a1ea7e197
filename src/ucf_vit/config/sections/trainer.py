"""Section `trainer`: how long, how precise, where to, and what is looked at on the way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from ucf_vit.config.sections.fields import LocalPath, Name, Number, Section, Whole, key, known_to
from ucf_vit.registries.hooks import HOOKS
from ucf_vit.registries.tasks import TASKS, task_name

TaskName = Annotated[Name, AfterValidator(task_name), known_to(TASKS)]
HookName = Annotated[Name, known_to(HOOKS)]


class Trainer(Section):
    """How long to train, in which precision, where results go, and how often to validate and save."""

    task: TaskName | None = key(
        None,
        "The task: masked (a masked autoencoder), segmentation, token_segmentation (segmentation of "
        "adaptive patches), classification, diffusion, the name of a task that a package offers, or a task "
        "of your own. If it is not given, the training script or --task decides; else what the file gives "
        "of feature_size (segmentation), mask_ratio (masked), num_time_steps (diffusion), num_classes "
        "(classification; token_segmentation too with adaptive_patching) and the folder that it is in, if "
        "that has a task's name, have to leave one. Older names: mae, unetr, sap, vit.",
        derived="by the script, --task, or the file's keys and folder",
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
        "Activations that are computed again in the backward pass instead of being kept: nothing, all of "
        "every block, or only attention.",
    )
    compile: bool = key(False, "Compile every transformer block (torch.compile).")
    device: Literal["auto", "cpu", "cuda", "mps"] = key(
        "auto", "Where to compute; auto takes CUDA or ROCm, then MPS, then the CPU. ROCm is called cuda."
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
        "Checkpoint (RUN/best, RUN/last) or .safetensors file of the same network, whose weights a new run "
        "starts from, averaged ones where a checkpoint has some. A run that resumes has its own.",
    )
    start_without: list[str] = key(
        [],
        "Names of the network's modules whose weights are not taken from start_from and keep their initial "
        "values, such as head where there are other classes.",
        derived="all are taken",
    )
    use_pretrained_mae_model: bool = key(False, "Start the encoder from that of a masked autoencoder.")
    mae_checkpoint_path: LocalPath = key("", "Output directory of the masked autoencoder's run.")
    mae_checkpoint_filename: str = key(
        "", "Which of its checkpoints, e.g. best or last_odd.", derived="the newest valid one"
    )
    validation_epochs: Whole = key(1, "Epochs between validations; 0: never.", "epochs", ge=0)
    checkpoint_steps: Whole = key(
        0, "Optimizer steps between further saves; 0: only after each epoch.", "optimizer steps", ge=0
    )
    checkpoint_async: bool = key(
        False,
        "Write checkpoints beside the training, from copies in host memory; it waits only for those copies.",
    )
    checkpoint_keep_last: Whole = key(
        2,
        "Newest checkpoints to keep: _even, _odd and, of those before, _step_N; more are removed at the "
        "next save.",
        "checkpoints",
        ge=2,
    )
    checkpoint_keep_best: Whole = key(
        1, "Best checkpoints to keep: best and, of the next best, best_step_N.", "checkpoints", ge=1
    )
    early_stop_epochs: Whole = key(
        0,
        "Validations without improvement before the run stops; 0: never. One without a value does not count.",
        "validations",
        ge=0,
    )
    gradient_clip: Number = key(1.0, "Largest norm of the gradient; 0: no clipping.", ge=0)
    ema_decay: Number = key(
        0.0,
        "Share of a moving average of the weights that stays at an optimizer step, such as 0.999; less in "
        "the first steps. Validation, pictures, the checkpoint best, evaluation and runs that start from "
        "this one use the average. 0: none is kept.",
        "fraction",
        ge=0,
        lt=1,
    )
    accumulate_steps: Whole = key(1, "Batches whose gradients make one optimizer step.", "batches", ge=1)
    log_steps: Whole = key(10, "Optimizer steps between lines of metrics.", "optimizer steps", ge=1)
    max_bad_losses: Whole = key(
        5,
        "Abort after that many steps in a row whose loss or gradient is NaN or infinite; in float16 those "
        "count once the scale of the loss has fallen to 1.",
        "steps",
        ge=1,
    )
    pictures: bool = key(True, "Draw pictures at each validation.")
    hooks: list[HookName] = key(
        [], "Hooks that the run calls beside its own: names of registered ones, or of your own in a file."
    )
    sliding_window_overlap: Number = key(
        0.5,
        "Share of a tile that neighbouring tiles have in common when whole volumes are evaluated.",
        "fraction",
        ge=0,
        lt=1,
    )
