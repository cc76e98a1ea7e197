"""Write a data set of concrete-like CT volumes with labels; the same as `ucf-vit synth basic_ct`.

python utils/basic_ct/make_synthetic.py data/concrete --number 8 --size 64
"""

from ucf_vit.cli.data.synth import basic_ct
from ucf_vit.cli.main import script

if __name__ == "__main__":
    script(basic_ct)
