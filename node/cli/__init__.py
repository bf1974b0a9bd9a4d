"""The command ``overread``: one module for each family of commands, `main` over all of them."""
