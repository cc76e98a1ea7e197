"""Python interface: trained runs, networks by name, training and evaluation. `ucf_vit` has all of it."""
