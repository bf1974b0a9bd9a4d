"""What the node decides, as pure functions over frozen values: no clock, no disk, no network."""
