"""What the verbs share: where things are kept, how they are printed, which files stand behind a local model."""
