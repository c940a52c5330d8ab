# SPDX-License-Identifier: MIT
"""Numbers that go to the GPU and back, also while training, which makes the GPU the default device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gscodec.kernels import registry

pytestmark = pytest.mark.usefixtures("gpu")
SHAPES = [(3,), (2, 5), (0,), (), (4, 2, 3)]


@pytest.fixture
def there(gpu) -> torch.device:
    registry.select("triton")
    return registry.triton().default_device()


def test_arrays_arrive_in_one_piece_at_even_addresses(there):
    from gscodec.kernels.triton.transfer import send

    arrays = [np.random.default_rng(k).random(shape) for k, shape in enumerate(SHAPES)]
    found = send(arrays, there)
    for array, tensor in zip(arrays, found, strict=True):
        assert tensor.device == there
        assert tensor.is_contiguous()
        assert tensor.data_ptr() % 16 == 0
        np.testing.assert_array_equal(tensor.cpu().numpy(), array.astype(np.float32))
    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1
    assert send([], there) == []


def test_where_tensors_are_made_by_default_does_not_matter(there):
    from gscodec.kernels.triton.transfer import constant, fetch, send, send_indices

    with torch.device("meta"):
        (sent,) = send([np.ones(3)], there)
        indices, numbers = send_indices([2, 0, 1], there), constant((0.5, 2.0), there)
    assert (sent[indices].device, numbers.device) == (there, there)
    fetched = fetch(sent)
    assert fetched.wait().tolist() == [1, 1, 1]
    assert fetched.arrived()
    assert fetched.copy.device.type == "cpu"
    assert numbers is constant((0.5, 2.0), there)


def test_page_locked_memory_is_the_computers_own(there, monkeypatch):
    from gscodec.kernels.triton import transfer

    asked, real = [], torch.empty

    def empty(*shape, pin_memory=False, **options):
        asked.append((pin_memory, options.get("device")))
        return real(*shape, **options)

    class Stand:
        """Of a stream and of an event."""

        def __getattr__(self, name):
            return lambda *arguments: None

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    if there.type == "cuda":
        pytest.skip("this stands in for a GPU")
    monkeypatch.setattr(transfer.torch, "empty", empty)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    for name in ("current_stream", "stream", "Event"):
        monkeypatch.setattr(transfer.torch.cuda, name, lambda *arguments: Stand())
    fetched = transfer.fetch(torch.arange(3), Stand())
    assert asked == [(True, "cpu")]
    assert fetched.wait().tolist() == [0, 1, 2]
