"""Networks of random weights for tests."""

import torch

from training.model import AcousticModel, Config


def random_model(config: Config, seed: int) -> AcousticModel:
    """Weights, normalisation and batch statistics drawn at random, so that no term of the graph can hide."""
    torch.manual_seed(seed)
    model = AcousticModel(config)
    model.mean.normal_(-8.0, 2.0)
    model.scale.uniform_(0.2, 0.6)
    for block in model.blocks:
        block.attention.bias.data.normal_(0.0, 1.0)
        block.convolution.batch_norm.running_mean.normal_(0.0, 0.5)
        block.convolution.batch_norm.running_var.uniform_(0.5, 2.0)
        block.convolution.batch_norm.weight.data.uniform_(0.5, 1.5)
        block.convolution.batch_norm.bias.data.normal_(0.0, 0.5)
    return model.eval()
