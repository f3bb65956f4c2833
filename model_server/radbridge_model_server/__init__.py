"""The model server: findings in, a draft impression in the signer's style out, over HTTP on Ray Serve."""

import logging

# PEFT imports it. It advises to install what would fetch code from a hub, and writes a line at every 8-bit product.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
