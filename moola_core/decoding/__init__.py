"""From probabilities to spans."""
