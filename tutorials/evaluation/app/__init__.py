"""Evaluation of a trained model; only metrics leave a hospital."""
