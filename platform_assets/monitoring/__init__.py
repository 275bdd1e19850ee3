"""What is watched after a release: the prediction log, drift, retraining decisions, orphaned runs."""
