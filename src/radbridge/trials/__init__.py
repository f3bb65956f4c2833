"""Whether new weights do worse than those before them, asked after every signed report, without a fixed count."""

from radbridge.trials.outcome import Outcome
from radbridge.trials.trial import Decision, Phase, Reading, read_trial

__all__ = ["Decision", "Outcome", "Phase", "Reading", "read_trial"]
