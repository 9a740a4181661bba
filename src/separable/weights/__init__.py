"""Weights in and out: Keras' files of every age, TF-slim's, torch's, and safetensors of our own."""

from separable.weights.compare import LoadReport
from separable.weights.create import create_model
from separable.weights.load import load_weights
from separable.weights.save import load_model, save_model
from separable.weights.unfold import unfold_batch_norm

__all__ = ["LoadReport", "create_model", "load_model", "load_weights", "save_model", "unfold_batch_norm"]
