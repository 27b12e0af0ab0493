"""A client of the Open Inference Protocol, blocking or async: numpy arrays in, numpy arrays out.

Any other client of the protocol works as well; this one needs grpcio, numpy and pydantic, calls again where nobody
answers, and knows attention maps and labels.
"""

from fovea.client.aio import AsyncClient
from fovea.client.blocking import Client
from fovea.client.channels import DEFAULT_ADDRESS, Access
from fovea.client.results import Answer, Class, ModelInfo, ModelState, ServerInfo, Statistics, TensorInfo, Total
from fovea.client.retry import ONCE, Retry

__all__ = [
    "DEFAULT_ADDRESS",
    "ONCE",
    "Access",
    "Answer",
    "AsyncClient",
    "Class",
    "Client",
    "ModelInfo",
    "ModelState",
    "Retry",
    "ServerInfo",
    "Statistics",
    "TensorInfo",
    "Total",
]
