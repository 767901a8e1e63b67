"""Building blocks that learn: layers over flat dicts of arrays with derivatives written by hand, losses, V-trace."""

# All at once, and nothing here is heavy: a table of lazy names would take the function vtrace for the module of that name.
from neuromem.layers.attention import MultiHeadAttention
from neuromem.layers.base import Composite, Layer, prefixed
from neuromem.layers.convolution import CausalConvolution
from neuromem.layers.dense import Dense
from neuromem.layers.embedding import Embedding
from neuromem.layers.initialise import truncated_normal, variance_scaling
from neuromem.layers.losses import (
    entropy,
    log_softmax,
    mean_squared_error,
    policy_gradient_loss,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from neuromem.layers.lstm import LSTM
from neuromem.layers.mlp import MLP
from neuromem.layers.norm import LayerNorm
from neuromem.layers.vtrace import VTrace, vtrace

__all__ = [
    "LSTM",
    "MLP",
    "CausalConvolution",
    "Composite",
    "Dense",
    "Embedding",
    "Layer",
    "LayerNorm",
    "MultiHeadAttention",
    "VTrace",
    "entropy",
    "log_softmax",
    "mean_squared_error",
    "policy_gradient_loss",
    "prefixed",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "truncated_normal",
    "variance_scaling",
    "vtrace",
]
