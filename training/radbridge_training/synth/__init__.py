"""Generated reports: invented from a grammar, the same for the same seed, no patient's text in them."""

from radbridge_training.synth.layout import rewrite
from radbridge_training.synth.persona import PERSONAS, Part, Persona, draw_personas, pick_personas
from radbridge_training.synth.report import SynthReport, generate_reports

__all__ = [
    "PERSONAS",
    "Part",
    "Persona",
    "SynthReport",
    "draw_personas",
    "generate_reports",
    "pick_personas",
    "rewrite",
]
