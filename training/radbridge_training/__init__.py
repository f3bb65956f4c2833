"""The training room: generated and signed reports in, LoRAs out."""

import logging

# PEFT imports it where it is installed, and it advises to install what would fetch code from a hub.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
