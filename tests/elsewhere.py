"""A second device for tests without a GPU: it computes on the CPU, and like a GPU takes no part in anything that mixes it with the CPU.

`elsewhere` is a name in the place that torch keeps free for backends of others. Its tensors hold one of the CPU; every operation on them
is checked, done on what they hold, and gives such tensors again. So a tensor that is made without a device, or left on the CPU, ends in
`Mixed`, and what comes back through `.cpu()` is what the CPU computes. Allowed is what CUDA allows: numbers without a dimension, copies,
and a tensor of its own that is indexed by places on the CPU.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
NAME = "elsewhere"
_COPIES = (aten.copy_.default, aten._to_copy.default, aten.to.other)
_INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
_registered = False


class Mixed(AssertionError):
    """An operation got tensors of both devices."""


class Elsewhere(torch.Tensor):
    """A tensor of the other device; `held` is what it holds, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        told = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        with torch.inference_mode(False):  # a view of a parameter, taken in inference mode, is no tensor of that mode
            found = torch.Tensor._make_wrapper_subclass(
                cls, held.size(), **told, device=f"{NAME}:0", dispatch_sizes_strides_policy="sizes"
            )
        found.held = held
        return found

    def __repr__(self):
        return f"Elsewhere({self.held})"

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        return _done(function, arguments, named or {})


class _Mode(TorchDispatchMode):
    """What has no tensor among its arguments, such as zeros(device="elsewhere"), and moves between devices."""

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        return _done(function, arguments, named or {})


class _Given(TorchFunctionMode):
    """Tensors of given numbers, which torch moves past the mode above."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        if function in (torch.tensor, torch.as_tensor) and "device" in named:
            wanted = named.pop("device")
            return function(*arguments, **named).to(wanted)
        if getattr(function, "__name__", "") == "new_tensor":
            return torch.tensor(arguments[1], dtype=arguments[0].dtype, **named).to(arguments[0].device)
        if getattr(function, "__name__", "") == "tolist":
            return arguments[0].cpu().numpy().tolist()
        return function(*arguments, **named)


def device() -> torch.device:
    """The other device, which is there from the first call on."""
    global _registered
    if not _registered:
        torch.utils.backend_registration._setup_privateuseone_for_python_backend(NAME)
        _registered = True
    return torch.device(NAME, 0)


@contextmanager
def there():
    """`with there():` the other device exists. Before torch's first gradient: its engine counts the devices only once."""
    device()
    with _Given(), _Mode():
        yield


def _held(one):
    if isinstance(one, torch.device):
        return torch.device("cpu")
    return one.held if isinstance(one, Elsewhere) else one


def _done(function, arguments, named):
    tensors = [one for one in tree_flatten((arguments, named))[0] if isinstance(one, torch.Tensor)]
    own = [one for one in tensors if isinstance(one, Elsewhere)]
    if own and function not in _COPIES:
        looked_at = arguments[:1] if function in _INDEXED else (arguments, named)
        for one in tree_flatten(looked_at)[0]:
            if isinstance(one, torch.Tensor) and not isinstance(one, Elsewhere) and one.ndim:
                raise Mixed(f"{function} got a tensor {tuple(one.shape)} of the CPU beside one of another device")
    # a move names its device by place or by name
    wanted = [one for one in tree_flatten((arguments, named))[0] if isinstance(one, torch.device)]
    wraps = wanted[0].type == NAME if wanted else bool(own)
    if function in (aten.copy_.default, aten.to.other):
        wraps = isinstance(arguments[function is aten.to.other], Elsewhere)
    if function in _INDEXED and own and not isinstance(arguments[0], Elsewhere):
        raise Mixed(f"{function}: a tensor of the CPU is indexed from another device")
    plain = tree_map(_held, (arguments, named))
    found = _CELLS.get(function, function)(*plain[0], **plain[1])
    # what is changed in place stays the tensor that it was
    changed = {id(held): one for one, held in ((one, one.held) for one in own)}
    if not wraps:
        return found

    def wrapped(one):
        if not isinstance(one, torch.Tensor):
            return one
        return changed[id(one)] if id(one) in changed else Elsewhere(one)

    return tree_map(wrapped, found)


def _gru_cell(inside, hidden, before, inside_bias=None, hidden_bias=None):
    """The fused recurrent cell that torch takes on other devices than the CPU, which has none; what it keeps is of no use to a gradient."""
    if inside_bias is not None:
        inside, hidden = inside + inside_bias, hidden + hidden_bias
    (a, b, c), (d, e, f) = inside.chunk(3, 1), hidden.chunk(3, 1)
    reset, update = torch.sigmoid(a + d), torch.sigmoid(b + e)
    new = torch.tanh(c + reset * f)
    kept = torch.cat([reset, update, new, before, f], dim=1)
    return (before - new) * update + new, kept


def _gru_cell_backward(gradient, kept, biased):
    reset, update, new, before, f = kept.chunk(5, 1)
    of_new = gradient * (1 - update) * (1 - new**2)
    of_update = gradient * (before - new) * update * (1 - update)
    of_reset = of_new * f * reset * (1 - reset)
    inside = torch.cat([of_reset, of_update, of_new], dim=1)
    hidden = torch.cat([of_reset, of_update, of_new * reset], dim=1)
    biases = (inside.sum(0), hidden.sum(0)) if biased else (None, None)
    return inside, hidden, gradient * update, *biases


_CELLS = {
    aten._thnn_fused_gru_cell.default: _gru_cell,
    aten._thnn_fused_gru_cell_backward.default: _gru_cell_backward,
}
