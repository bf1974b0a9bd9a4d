"""The Triton model repository that ships with the node; every folder is a model with its card."""
