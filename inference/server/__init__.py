"""What runs the networks: a Triton server, or this process itself, behind one protocol."""

from inference.server.in_process import InProcessServer
from inference.server.protocol import ModelServer, Output, Tensors
from inference.server.triton import TritonServer

__all__ = ["InProcessServer", "ModelServer", "Output", "Tensors", "TritonServer"]
