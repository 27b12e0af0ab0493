"""Callers that cancel, vanish, do not read, say nothing, say too much; after each the server is as it was."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import grpc
import numpy as np
from onnx import helper
from tests.servers import RunningServer, infer_request, running_server, save_model, tensor
from tests.torture import http2
from tests.torture.effort import Run
from tests.torture.limits import at_the_limits
from tests.torture.models import HEAVY, HEAVY_COLUMNS, STEADY, STEADY_COLUMNS, heavy_model, steady_model
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Promise, Report, none_of
from tests.torture.watch import census, gauge, given_back, settles, unforeseen

INFER = wire_path = "/inference.GRPCInferenceService/ModelInfer"
