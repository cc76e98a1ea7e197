"""Output of a run, one hook per file; hooks look at training and never change it."""
