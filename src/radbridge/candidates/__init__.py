"""The coarse stage of one site: of what could be written for a case, the text that this site would sign.

What could be written is what the site signed for reports like it, what the findings themselves state, and the two put
together. A small network that learnt from the site's own reports rates each; the guard has the last word.
"""

from radbridge.candidates.candidate import Candidate, Source
from radbridge.candidates.chooser import CHOOSING, Chooser, FeatureWeights, read_chooser, write_chooser
from radbridge.candidates.drafter import Choice, SiteDrafter, load_site_drafter
from radbridge.candidates.features import FEATURES, describe
from radbridge.candidates.gathering import Case, Context, gather
from radbridge.candidates.pool import POOL, Report, SitePool, read_pool, write_pool

__all__ = [
    "CHOOSING",
    "FEATURES",
    "POOL",
    "Candidate",
    "Case",
    "Choice",
    "Chooser",
    "Context",
    "FeatureWeights",
    "Report",
    "SiteDrafter",
    "SitePool",
    "Source",
    "describe",
    "gather",
    "load_site_drafter",
    "read_chooser",
    "read_pool",
    "write_chooser",
    "write_pool",
]
