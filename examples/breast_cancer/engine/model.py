"""A 30-16-1 network trained on all rows at once, the same bits every time on one thread.

Adam is written out: `torch.optim` would import a compiler that this engine does not need, which takes longer
than the whole training.
"""

from __future__ import annotations

import torch
from data import Table
from settings import Settings
from torch import Tensor

__all__ = ["probabilities", "split", "train"]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def split(tables: list[Table], held_out_every: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training features and labels, then held-out features and labels, in the order of the inputs."""
    rows: tuple[list[list[float]], list[list[float]]] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    for table in tables:
        for index, (row, label) in enumerate(zip(table.features, table.labels, strict=True)):
            held_out = index % held_out_every == held_out_every - 1
            rows[held_out].append(row)
            labels[held_out].append(label)
    kind = torch.float64  # the raw values span five orders of magnitude; standardise before rounding
    return (
        torch.tensor(rows[0], dtype=kind),
        torch.tensor(labels[0], dtype=torch.float32),
        torch.tensor(rows[1], dtype=kind),
        torch.tensor(labels[1], dtype=torch.float32),
    )


def train(features: Tensor, labels: Tensor, settings: Settings) -> dict[str, Tensor]:
    """Return the trained model: what standardises the input, and both layers."""
    mean = features.mean(dim=0)
    scale = features.std(dim=0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    inputs = ((features - mean) / scale).float()
    weights = _initial(inputs.shape[1], settings)
    moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in weights]
    rate, decay = settings.learning_rate_e6 / 1e6, settings.weight_decay_e6 / 1e6
    for step in range(1, settings.epochs + 1):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(_logits(inputs, *weights), labels)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient, (first, second) in zip(weights, gradients, moments, strict=True):
                first.mul_(_BETA_1).add_(gradient, alpha=1 - _BETA_1)
                second.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
                root = (second / (1 - _BETA_2**step)).sqrt_().add_(_EPSILON)
                weight.mul_(1 - rate * decay).addcdiv_(first, root, value=-rate / (1 - _BETA_1**step))
    names = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")
    layers = {name: weight.detach() for name, weight in zip(names, weights, strict=True)}
    return {"input.mean": mean, "input.scale": scale, **layers}


def probabilities(model: dict[str, Tensor], features: Tensor) -> list[float]:
    """Return the model's probability of a malignant tumour for each row."""
    inputs = ((features - model["input.mean"]) / model["input.scale"]).float()
    names = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")
    return torch.sigmoid(_logits(inputs, *(model[name] for name in names)).double()).tolist()


def _initial(width: int, settings: Settings) -> list[Tensor]:
    """He initialisation from the seed, independent of torch's global generator."""
    source = torch.Generator().manual_seed(settings.seed)
    hidden = torch.randn(settings.hidden, width, generator=source) * (2 / width) ** 0.5
    output = torch.randn(1, settings.hidden, generator=source) * (1 / settings.hidden) ** 0.5
    weights = [hidden, torch.zeros(settings.hidden), output, torch.zeros(1)]
    return [weight.requires_grad_() for weight in weights]


def _logits(
    inputs: Tensor, hidden: Tensor, hidden_bias: Tensor, output: Tensor, output_bias: Tensor
) -> Tensor:
    middle = torch.relu(inputs @ hidden.T + hidden_bias)
    return (middle @ output.T + output_bias).squeeze(1)
