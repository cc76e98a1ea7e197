"""How good generated samples are: compared with held-out tiles, and with what was trained on."""
