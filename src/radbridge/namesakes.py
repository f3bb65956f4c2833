"""Names that are words of reports too: what `radbridge.deidentify` must not take for the patient."""

# Ordinary words. Hand-picked: a rare one that is missing costs a word of the text, not an identifier.
ORDINARY = frozenset(
    """able adler akin angle apple april atlas august autumn back ball band banks bass bay bean bell berry best bird
    bishop black bland blank block blood bloom blue bond bone bones bowel bowl bowman brain branch brick bridge
    bright broad brook brown brush burns bush cage canal cannon carver case cava cavity cell chain chance cheek chest
    chin church clay clear close cloud coil coin cold cole colon contrast cook cord corn costa cotton crane cross
    crown cruz curve cutter dark dash date dawn day deal dean deep dens dense dome drain drew dry duct duke early
    east edge elbow ember faith fall farmer fatty field film fine finger fink fish flat flow flowers foley foot ford
    forest foster fox france francis frank free french frost gage gall gates gentle glass gold good gore grace grade
    grant grave gray green grey grove guard hair hall ham hand hard hardy harper hart hatch head heart heath heel
    hill hip hook hope horn house hunt hunter iris ivy jade jewel joint joy keen key kidney king knight lake lamb
    lane large lately law lay leaf left lilly lily lime line link lip little lobe long loop lord love low luck lung
    lynn major march mark marker marrow marsh mass masters may meadows mild mill miller miner minor mole moon moore
    moose moss mount mouth nail neck needle new nice nick noble nodes normal north nose oak old olive page pain pale
    palm park parks part pate patient paul peak pearl penny piece pine pink plain plane plate pole pond pons pool
    poole pope porta porter post potter power price pride prince pulse purple rash rate ray red reed regular reid rib
    rice rich ridge ring rise rivers robin rock rod root rose round ruby rush sage sand savage scan sell sella
    service shade shadow shaft shallow sharp shaw shell shields shin short shoulder silver singer single skin sky
    slack slaughter small snow solid south span spear spine spring stable stack stall star steel stem stent stern
    stone stones stout straight strand street strong study sugar summer sweet swift tall tear temple thick thin toe
    tongue tooth track tube tumor turner vale vein violet wade walker wall ward water waters weak weed week weeks
    weight wells west wheel white wide will wing winter wise wolf wood woods worth wright wrist yellow young""".split()
)

# People whose name stands for a disease, and the nouns it then stands before: a Baker cyst is no patient.
EPONYMS = frozenset(
    """adams addison alzheimer baker bankart barrett barton bennett bosniak brodie buerger chance charcot chiari
    colles cooper crohn cushing douglas duret fleischner foley galeazzi gartland gerota graves hart hashimoto
    hill hodgkin hoffa hutchinson jefferson jones kellgren kerley klatskin lawrence lisfranc mason meckel
    mirizzi monteggia morison morton murphy nelson osgood paget parkinson perthes pott rathke sachs schatzker
    schmorl segond smith stafne stanford stieda thompson tillaux virchow wagner warthin weber wilms wilson""".split()
)
EPONYM_NOUN = (
    r"(?:['’]s?)?[\s-]+(?:type|fracture|cyst|sign|disease|syndrome|neuroma|lesion|ligament|node|pouch|classification"
    r"|criteria|grade|score|tumou?r|lymphoma|deformity|dislocation|triad|index|procedure|catheter|filter|space|fascia"
    r"|phenomenon|body|bodies|canal|tubercle|line|angle|ratio|artery|vein|muscle|duct|gland|contracture|stage)(?:e?s)?\b"
)

# Whom a report is told to, or read by, without a name.
NO_PERSON = frozenset(
    """attending clinic clinical ct department doctor ed emergency er family fellow findings hospital icu medical
    medicine mri neurology nurse office oncology ordering orthopedics patient physician provider radiologist radiology
    referring report resident results service staff surgery surgical team technologist unit ward""".split()
)
NOBODY = (
    r"(?:[Pp]atient|Pt|He|She|They|It|This|That|There|Who|Which|Mother|Father|Child|Infant|Baby|Man|Woman|Male|Female"
    r"|Clinically|Study|Examination|Exam|PATIENT|PT|HE|SHE|THEY|IT|THIS|THAT|THERE|WHICH)\b"
)

# What no finding does: before it stands whoever did it.
ONLY_PEOPLE_DO = (
    r"(?=\s+(?i:tolerated|consented|ambulat(?:ed|es)|complain(?:ed|s)\s+of|denie[ds]|agrees|was\s+told|came\s+in"
    r"|has\s+had|is\s+an?\s+\d+[- ]?y))"
)

# Given names that are nothing else: beside one of them stands a surname.
_GIVEN_NAMES = """
    Alexander Alexandra Alice Amanda Amy Andrea Andrew Angela Anna Anne Anthony Barbara Benjamin Betty Brenda
    Brian Carol Caroline Catherine Charles Charlotte Christina Christine Christopher Cynthia Daniel David
    Deborah Debra Dennis Diana Diane Donald Donna Dorothy Edward Elizabeth Emily Emma Eric Evelyn Frances Gary
    George Gerald Gloria Gregory Hannah Harold Heather Helen Henry Jacob Jacqueline James Jane Janet Janice
    Jason Jeffrey Jennifer Jeremy Jessica Joan John Jonathan Jose Joseph Joshua Joyce Juan Judith Judy Julia
    Julie Justin Karen Katherine Kathleen Kathryn Keith Kelly Kenneth Kevin Kimberly Larry Laura Lauren Linda
    Lisa Louis Louise Margaret Maria Marie Marilyn Martha Mary Matthew Megan Melissa Michael Michelle Mohammed
    Nancy Nathan Nicholas Nicole Olivia Pamela Patricia Patrick Peter Philip Rachel Ralph Raymond Rebecca
    Richard Robert Roger Ronald Russell Ruth Ryan Samantha Samuel Sandra Sarah Scott Sean Sharon Sophia
    Stephanie Stephen Steven Susan Teresa Theresa Thomas Timothy Tyler Victoria Vincent Virginia Walter Wayne
    William Zachary
"""
GIVEN = "(?:" + "|".join(name for given in _GIVEN_NAMES.split() for name in (given, given.upper())) + ")"
