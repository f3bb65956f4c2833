"""Generated reports: invented from a grammar, the same for the same seed, no patient's text in them."""

from radbridge_training.synth.report import SynthReport, generate_reports
from radbridge_training.synth.style import PERSONAS, rewrite

__all__ = ["PERSONAS", "SynthReport", "generate_reports", "rewrite"]
