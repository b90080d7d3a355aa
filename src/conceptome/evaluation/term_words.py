"""Names of terms as words that a person reads."""

from __future__ import annotations

import re

PREFIXES = re.compile(r"^(GOBP|GOCC|GOMF|HALLMARK|REACTOME|KEGG|WP|BIOCARTA|PID)_", re.IGNORECASE)
IDENTIFIER = re.compile(r"\s*\((GO:\d+|R-HSA-\d+)\)$")
LONGEST_ACRONYM = 3  # longer words in capitals are words, shorter ones acronyms, but for those named below

_ENGLISH = """age an and arm as at bud by cap cut di ear egg end eye fat for gap gas in ion its key
low new non not of off old on one or out pit pre pro ray red rod sex tau the tip to tri two up via
wax"""
_ACRONYMS = """AMPA AMPK ATPase CENP CFTR COPI COPII CREB EGFR ERAD ERBB ESCRT FGFR FOXO GABA
GABAergic GPCR GTPase HCMV IRES KRAS MAPK NADH NADP NADPH NANOG NFAT NFKB NHEJ NMDA NRAGE PCNA PERK
PTEN RISC SARS SMAD SNARE SREBP STAT STING SUMO TNFA TRAIL TRIF VEGF VIII VLDL WNT cAMP cGMP dsRNA
mRNA mTOR mTORC1 miRNA ncRNA piRNA rRNA siRNA snRNA snRNP snoRNA snoRNP tRNA"""
SHORT_WORDS = frozenset(_ENGLISH.split())
LONG_ACRONYMS = {word.upper(): word for word in _ACRONYMS.split()}


def readable_term(name: str) -> str:
    """Write the name of a term as words: without the collection's prefix or identifier, small letters.

    Parameters
    ----------
    name
        Such as ``"GOBP_B_CELL_ACTIVATION"`` or ``"B cell activation (GO:0042113)"``.

    Returns
    -------
    Such as ``"B cell activation"``. A name that is not all in capitals stays as it is. Of one that is, short
    words and those with digits stay in capitals, but for what is an English word (``"ion"``); known longer
    acronyms get their own spelling (``"mRNA"``).
    """
    words = IDENTIFIER.sub("", PREFIXES.sub("", name)).replace("_", " ").split()
    if not all(word.isupper() or not word.isalpha() for word in words):
        return " ".join(words)
    return " ".join(map(_spelled, words))


def _spelled(word: str) -> str:
    if word in LONG_ACRONYMS:
        return LONG_ACRONYMS[word]
    short = len(word) <= LONGEST_ACRONYM and word.lower() not in SHORT_WORDS
    return word if short or any(map(str.isdigit, word)) else word.lower()
