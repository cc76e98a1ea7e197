"""Networks, one file each; they know no processes, files or losses."""

from ucf_vit.models.diffusion import DiffusionVIT
from ucf_vit.models.mae import MAE
from ucf_vit.models.registry import MODELS
from ucf_vit.models.sap import SAP
from ucf_vit.models.unetr import UNETR
from ucf_vit.models.vit import VIT

__all__ = ["MAE", "MODELS", "SAP", "UNETR", "VIT", "DiffusionVIT"]
