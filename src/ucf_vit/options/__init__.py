"""Options of networks: frozen dataclasses that configs, networks and scripts share."""

from ucf_vit.options.decoder import DecoderOptions
from ucf_vit.options.encoder import EncoderOptions
from ucf_vit.options.input import InputOptions
from ucf_vit.options.pick import pick
from ucf_vit.options.pretrained import PretrainedOptions
from ucf_vit.options.variables import VariableOptions

__all__ = ["DecoderOptions", "EncoderOptions", "InputOptions", "PretrainedOptions", "VariableOptions", "pick"]
