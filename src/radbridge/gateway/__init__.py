"""The gateway: the one place that knows every part, and puts them together.

`plugins` finds what is installed, `gateway` starts and runs the parts, `model_keeper` is its side of the model.
"""

from radbridge.gateway.gateway import Gateway
from radbridge.gateway.plugins import make_model_client, make_wires

__all__ = ["Gateway", "make_model_client", "make_wires"]
