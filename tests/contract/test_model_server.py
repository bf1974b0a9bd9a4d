"""What every `ModelServer` promises, asked of Triton both ways, of this process, and of the double."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.errors import ModelFailed, ServerUnavailable
from inference.server import InProcessServer, ModelServer, Output, TritonServer
from inference.testing import ThresholdServer
from inference.triton import TritonProcess
from tests.peers import triton

SHIPPED = Path(__file__).parents[2] / "inference" / "models" / "brain-extraction"
MODEL = "threshold"
SHAPE = (5, 6, 7)
OPTIONAL = (
    'input [ { name: "before", data_type: TYPE_FP32, dims: [ -1, -1, -1 ], optional: true } ]'
)
"""What a model is given only where there is an earlier study."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Serve one model; a card beside it and a folder without configuration must not disturb."""
    repository = tmp_path_factory.mktemp("models")
    version = repository / MODEL / "1"
    version.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("threshold_model.py"), version / "model.py")
    shutil.copy(SHIPPED / "card.toml", repository / MODEL)
    configuration = (SHIPPED / "config.pbtxt").read_text()
    (repository / MODEL / "config.pbtxt").write_text(
        configuration.replace('"brain-extraction"', f'"{MODEL}"') + OPTIONAL
    )
    (repository / "someone-elses").mkdir()
    return repository


@pytest.fixture(scope="module")
def triton_process(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonProcess]:
    with triton.serving(repository, tmp_path_factory.mktemp("triton")) as process:
        yield process


@pytest.fixture(
    scope="module",
    params=[
        "double",
        "in process",
        pytest.param("gRPC", marks=pytest.mark.peers),
        pytest.param("shared memory", marks=pytest.mark.peers),
    ],
)
def server(request: pytest.FixtureRequest, repository: Path) -> ModelServer:
    match request.param:
        case "double":
            return ThresholdServer(models=frozenset({MODEL}))
        case "in process":
            return InProcessServer(repository)
        case way:
            process: TritonProcess = request.getfixturevalue("triton_process")
            return TritonServer(process.url, shared_memory=way == "shared memory")


def volume(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(SHAPE, np.float32)


def mask(shape: tuple[int, ...] = SHAPE, dtype: str = "u1", name: str = "mask") -> Output:
    return Output(name=name, shape=shape, dtype=np.dtype(dtype))


SECONDS = Output(name="forward_seconds", shape=(2,), dtype=np.dtype(np.float32))


def test_outputs_come_by_name_and_are_right(server: ModelServer) -> None:
    values = volume()
    answer = server.infer(MODEL, {"volume": values}, [mask(), SECONDS], timeout_s=10)
    assert list(answer) == ["mask", "forward_seconds"]
    np.testing.assert_array_equal(answer["mask"], values > values.max() / 2)
    np.testing.assert_array_equal(answer["forward_seconds"], [0, 0])


def test_an_optional_input_is_given_or_is_not(server: ModelServer) -> None:
    if isinstance(server, ThresholdServer):
        pytest.skip("the double looks at one tensor")
    values, before = volume(), 9 * volume(7)
    inputs = {"volume": values, "before": before}
    answer = server.infer(MODEL, inputs, [mask()], timeout_s=10)["mask"]
    both = values + before
    np.testing.assert_array_equal(answer, both > both.max() / 2)
    alone = server.infer(MODEL, {"volume": values}, [mask()], timeout_s=10)["mask"]
    np.testing.assert_array_equal(alone, values > values.max() / 2)


def test_an_input_that_is_not_contiguous_arrives_right(server: ModelServer) -> None:
    values = volume().transpose(2, 0, 1)[::-1]
    answer = server.infer(MODEL, {"volume": values}, [mask(values.shape)], timeout_s=10)
    np.testing.assert_array_equal(answer["mask"], values > values.max() / 2)


def test_outputs_belong_to_the_caller(server: ModelServer) -> None:
    first = server.infer(MODEL, {"volume": volume(1)}, [mask()], timeout_s=10)["mask"]
    before = first.copy()
    second = server.infer(MODEL, {"volume": volume(2)}, [mask()], timeout_s=10)["mask"]
    np.testing.assert_array_equal(first, before)
    first[:] = 7
    assert second.max() == 1


def test_threads_may_share_a_server(server: ModelServer) -> None:
    def ask(seed: int) -> bool:
        values = volume(seed)
        answer = server.infer(MODEL, {"volume": values}, [mask()], timeout_s=10)["mask"]
        return bool((answer == (values > values.max() / 2)).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(20)))


@pytest.mark.parametrize(
    "expected", [mask((5, 6, 8)), mask((5, 6, 6)), mask(dtype="i1"), mask(name="saliency")]
)
def test_an_answer_that_is_not_as_expected_is_a_failed_model(
    server: ModelServer, expected: Output
) -> None:
    with pytest.raises(ModelFailed):
        server.infer(MODEL, {"volume": volume()}, [expected], timeout_s=10)


def test_a_model_that_raises_has_failed_and_says_why(server: ModelServer) -> None:
    with pytest.raises(ModelFailed, match="same value everywhere"):
        server.infer(MODEL, {"volume": np.ones(SHAPE, np.float32)}, [mask()], timeout_s=10)


def test_a_model_that_is_not_there_is_asked_for_again_later(server: ModelServer) -> None:
    with pytest.raises(ServerUnavailable):
        server.infer("nobody", {"volume": volume()}, [mask()], timeout_s=10)


def test_ready_is_said_of_models_that_are_there(server: ModelServer) -> None:
    assert server.ready(MODEL)
    assert not server.ready("nobody")


def test_it_has_a_name_for_people(server: ModelServer) -> None:
    assert server.name
