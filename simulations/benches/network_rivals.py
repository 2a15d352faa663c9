"""The same clipped step by other means: Opacus' hooks, its ghosts, and PyTorch's vmap.

All three sum the gradients of a model's records, each shortened to the clip, and equal
one another. Only the benches of networks run them.
"""

from collections.abc import Callable
from typing import Any

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
    GradSampleModuleFastGradientClipping as GhostModule,
)
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from common.errors import ConsiliumError

Step = Callable[[], list[Tensor]]


def hooks(model: nn.Module, x: Tensor, y: Tensor, clip: float) -> Step:
    """Return the step by Opacus' default: each record's gradient is built."""
    hooked = GradSampleModule(model, loss_reduction="sum")
    x = x.detach().requires_grad_()

    def step() -> list[Tensor]:
        hooked.zero_grad()
        torch.autograd.backward(_losses(hooked(x), y).sum())
        built = [vars(each)["grad_sample"] for each in model.parameters()]
        return _summed(built, clip)

    return step


def ghost(model: nn.Module, x: Tensor, y: Tensor, clip: float) -> Step:
    """Return the step by Opacus' ghost clipping: lengths first, then once more back."""
    hooked = GhostModule(
        model, max_grad_norm=clip, use_ghost_clipping=True, loss_reduction="sum"
    )
    x = x.detach().requires_grad_()

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


def vmapped(model: nn.Module, x: Tensor, y: Tensor, clip: float) -> Step:
    """Return the step by torch.func: the gradient of one record, over all of them."""
    shown = {name: each.detach() for name, each in model.named_parameters()}

    def lost(parameters: dict[str, Tensor], one: Tensor, has: Tensor) -> Tensor:
        return _losses(functional_call(model, parameters, (one[None],)), has[None])[0]

    each = vmap(grad(lost), in_dims=(None, 0, 0))

    def step() -> list[Tensor]:
        return _summed(list(each(shown, x, y).values()), clip)

    return step


def plain(model: nn.Module, x: Tensor, y: Tensor) -> Step:
    """Return the ordinary step, in which no record is shortened."""

    def step() -> list[Tensor]:
        model.zero_grad()
        torch.autograd.backward(_losses(model(x), y).sum())
        return [_left(each) for each in model.parameters()]

    return step


RIVALS: dict[str, Callable[[nn.Module, Tensor, Tensor, float], Step]] = {
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
