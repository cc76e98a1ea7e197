"""YAML text: values that know their lines, and errors that show them."""
