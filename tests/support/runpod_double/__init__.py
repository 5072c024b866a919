"""RunPod's API v2 as a real HTTP server that follows its document, its examples and its oddities.

    RUNNING is reported as soon as a pod is scheduled; `runtime` and `ssh.direct` come later
    after stop and start the old port is reported for a while, and the host key is new
    no capacity is free text in a 400; a field that the document has not is a 422
    the log stream never ends, and sends not even a header before its first line

It is a WSGI application: served over TCP, or called in the process for thousands of tries. Every
request and answer is checked against the OpenAPI document, which lies beside the repository.
"""

from tests.support.runpod_double.account import KEY, Double
from tests.support.runpod_double.answers import Fault
from tests.support.runpod_double.catalog import GPU, NO_CAPACITY, NO_GPU_ON_HOST
from tests.support.runpod_double.document import DOCUMENTS
from tests.support.runpod_double.pods import IMAGE, FakePod, Machine, Times
from tests.support.runpod_double.server import serving

__all__ = [
    "DOCUMENTS",
    "GPU",
    "IMAGE",
    "KEY",
    "NO_CAPACITY",
    "NO_GPU_ON_HOST",
    "Double",
    "FakePod",
    "Fault",
    "Machine",
    "Times",
    "serving",
]
