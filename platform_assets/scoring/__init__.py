"""Scoring without a request: ONNX bundles over frames, and daily batch predictions."""
