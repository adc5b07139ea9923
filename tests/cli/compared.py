"""Comparisons made by hand: what is printed of them depends on nothing else."""

from pathlib import Path

import numpy as np

from bayling_eval.compare import Comparisons, averaged
from bayling_eval.macro import Difference, Grouping
from bayling_eval.records import Comparison, ModelFile
from bayling_eval.store import System

SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0"
TONGUES = """
    afr_Latn amh_Ethi arb_Arab ast_Latn azj_Latn bel_Cyrl ben_Beng bos_Latn bul_Cyrl cat_Latn
    ceb_Latn ces_Latn ckb_Arab cym_Latn dan_Latn deu_Latn ell_Grek est_Latn fin_Latn fra_Latn
    fuv_Latn gle_Latn glg_Latn guj_Gujr hau_Latn heb_Hebr hin_Deva hrv_Latn hun_Latn hye_Armn
    ibo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kam_Latn kan_Knda kat_Geor kaz_Cyrl
""".split()


def row(tgt: str, delta: float | None = 0.0, verdict: str = "no_change", **fields) -> Comparison:
    """Return the row of a direction out of English; without a difference it is missing."""
    about = {
        "task": f"flores200_eng_Latn-{tgt}",
        "family": "flores200",
        "src_lang": "eng_Latn",
        "tgt_lang": tgt,
        "lang": None,
        "metric": "chrf++",
        "candidate": "new",
        "baseline": "old",
        "verdict": verdict,
        "settings_diff": [],
    }
    numbers = {"signature": None, "verdict": "missing", "reason": "new has no outputs for it"}
    if delta is not None:
        numbers = {
            "signature": SIGNATURE,
            "baseline_value": 50.0,
            "candidate_value": 50.0 + delta,
            "delta": delta,
            "ci_low": delta - 0.5,
            "ci_high": delta + 0.5,
            "p_value": 0.2,
            "p_is_bound": False,
            "p_adjusted": 0.25,
            "detectable_effect": 1.25,
            "minimum_effect": 0.5,
            "n": 1012,
            "clusters": 281,
        }
    return Comparison(**{**about, **numbers, **fields})


def system(name: str) -> System:
    """Return a system of which nothing is stored."""
    digest = f"{len(name):08d}" + "0" * 56
    return System(ModelFile(name=name, kind="imported", digest=digest, covers={}), Path("nowhere"))


def pair(
    rows: list[Comparison], candidate: str = "new", baseline: str = "old", *by: str, weights=None
) -> Comparisons:
    """Return a pair with these rows, worst first, and the averages that they have."""
    differences = tuple(
        Difference(one, None if one.delta is None else np.linspace(-0.2, 0.2, 200) + one.delta)
        for one in sorted(rows, key=lambda r: (r.delta is None, r.delta or 0.0))
    )
    ordered = [one.row for one in differences]
    found = Comparisons(system(candidate), system(baseline), ordered, [], [], differences)
    return averaged([found], Grouping(by or Grouping().by, weights))[0]
