"""Files: writing them all or nothing, and reading those of strangers."""
