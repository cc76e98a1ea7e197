"""Print the keys of load_balancing for a config on a number of GPUs, ready to paste; see `ucf-vit plan`.

python utils/kits/preprocess_load_balancing.py CONFIG NUM_GPUS [KEY=VALUE ...]
"""

from ucf_vit.cli.data.load_balancing import load_balancing
from ucf_vit.cli.main import script

if __name__ == "__main__":
    script(load_balancing)
