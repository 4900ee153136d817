"""Training of Vocar's speech model: data preparation, training, evaluation and export."""
