"""What a model or a search has found, for people: summaries, differences, statistics and pictures."""
