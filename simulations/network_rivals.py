"""The same clipped step by other means: Opacus' hooks, its ghosts, and PyTorch's vmap.

All three sum the gradients of the small network's records, each shortened to the clip,
and equal one another. Only ``simulations.network_bench`` runs them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
    GradSampleModuleFastGradientClipping as GhostModule,
)
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from common.errors import ConsiliumError
from common.release import Array
from common.task import Images

Step = Callable[[], list[Tensor]]


def layers() -> nn.Sequential:
    """Return the small network of the bench, for pictures of 28 x 28 x 3."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, 128),
        nn.ReLU(),
        nn.Linear(128, 1),
    )


def given(pictures: Images, outcome: Array) -> tuple[Tensor, Tensor]:
    """Return *pictures* [records, h, w, channels] and outcomes as PyTorch has them."""
    x = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    return x, torch.from_numpy(outcome.astype(np.float32))


def hooks(pictures: Images, outcome: Array, clip: float) -> Step:
    """Return the step by Opacus' default: each record's gradient is built."""
    model = layers()
    hooked = GradSampleModule(model, loss_reduction="sum")
    x, y = given(pictures, outcome)
    x.requires_grad_()

    def step() -> list[Tensor]:
        hooked.zero_grad()
        torch.autograd.backward(_losses(hooked(x), y).sum())
        built = [vars(each)["grad_sample"] for each in model.parameters()]
        return _summed(built, clip)

    return step


def ghost(pictures: Images, outcome: Array, clip: float) -> Step:
    """Return the step by Opacus' ghost clipping: lengths first, then once more back."""
    model = layers()
    hooked = GhostModule(
        model, max_grad_norm=clip, use_ghost_clipping=True, loss_reduction="sum"
    )
    x, y = given(pictures, outcome)
    x.requires_grad_()

    def step() -> list[Tensor]:
        hooked.zero_grad()
        losses = _losses(hooked(x), y)
        torch.autograd.backward(losses.sum(), retain_graph=True)
        weight = hooked.get_clipping_coef()
        hooked.zero_grad()
        hooked.disable_hooks()
        torch.autograd.backward((weight * losses).sum())
        hooked.enable_hooks()
        return [_left(each) for each in model.parameters()]

    return step


def vmapped(pictures: Images, outcome: Array, clip: float) -> Step:
    """Return the step by torch.func: the gradient of one record, over all of them."""
    model = layers()
    shown = {name: each.detach() for name, each in model.named_parameters()}
    x, y = given(pictures, outcome)

    def lost(parameters: dict[str, Tensor], one: Tensor, has: Tensor) -> Tensor:
        return _losses(functional_call(model, parameters, (one[None],)), has[None])[0]

    each = vmap(grad(lost), in_dims=(None, 0, 0))

    def step() -> list[Tensor]:
        return _summed(list(each(shown, x, y).values()), clip)

    return step


RIVALS: dict[str, Callable[[Images, Array, float], Step]] = {
    "Opacus' hooks": hooks,
    "Opacus' ghosts": ghost,
    "vmap of torch.func": vmapped,
}


def _losses(logit: Tensor, y: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(
        logit[:, 0], y, reduction="none"
    )


def _summed(built: list[Any], clip: float) -> list[Tensor]:
    """Return the sums of gradients [records, ...] that are each shortened."""
    square = [each.flatten(1).square().sum(1) for each in built]
    weight = (clip / torch.stack(square).sum(0).sqrt()).clamp(max=1.0)
    return [torch.einsum("i,i...->...", weight, each) for each in built]


def _left(parameter: nn.Parameter) -> Tensor:
    """Return what the last way back left at a *parameter*."""
    if parameter.grad is None:
        raise ConsiliumError("a parameter of the network has no gradient")
    return parameter.grad.clone()
