from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inference.errors import ModelFailed
from inference.server import Output
from inference.server.region import Region

MASK = Output(name="mask", shape=(3, 4), dtype=np.dtype(np.uint8))


def said(**changes: Any) -> Any:
    output = SimpleNamespace(**({"name": "mask", "datatype": "UINT8", "shape": [3, 4]} | changes))
    return SimpleNamespace(get_output=lambda name: output if name == output.name else None)


def test_an_output_that_was_never_written_is_not_taken_for_an_answer() -> None:
    # What Triton's Python backend does under numpy 2: the right shape and no bytes.
    with (
        Region({"volume": np.ones(5, np.float32)}, [MASK]) as region,
        pytest.raises(ModelFailed, match="wrote nothing"),
    ):
        region.answers(said())


@pytest.mark.parametrize("written", [0, 11])
def test_one_octet_that_was_written_is_enough(written: int) -> None:
    expected = np.full((3, 4), 0xFF, np.uint8)
    expected.flat[written] = 1
    with Region({"volume": np.ones(5, np.float32)}, [MASK]) as region:
        region._view(MASK.dtype, MASK.shape, region._offsets[1])[:] = expected
        np.testing.assert_array_equal(region.answers(said())["mask"], expected)


@pytest.mark.parametrize("change", [{"shape": [4, 3]}, {"datatype": "INT8"}, {"name": "other"}])
def test_an_output_described_otherwise_is_refused(change: dict[str, Any]) -> None:
    with Region({"volume": np.ones(5, np.float32)}, [MASK]) as region, pytest.raises(ModelFailed):
        region.answers(said(**change))


def test_inputs_and_outputs_do_not_overlap() -> None:
    first, second = np.arange(7, dtype=np.float32), np.arange(3, dtype=np.uint8)
    with Region({"a": first, "b": second}, [MASK, MASK]) as region:
        offsets = [offset for _, offset in region._places()]
        assert offsets == [128, 192]
        assert region.nbytes == 256
        memory = region._handle._mpsm_handle.buf
        assert bytes(memory[:28]) == first.tobytes()
        assert bytes(memory[64:67]) == second.tobytes()
        del memory
