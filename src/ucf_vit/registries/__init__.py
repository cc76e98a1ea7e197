"""Tables of tasks, networks and hooks by name, and what is known of each of them before torch is imported."""
