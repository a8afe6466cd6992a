"""What several dialects do in the same way. Knows none of them by name."""
