"""Training: trainers, fingerprints, ONNX export, metrics; the model asset."""
