"""The functions that task YAML names with ``!function``, so that stock lm-eval runs the same tasks.

lm-eval calls :func:`dataset` with a task's metadata; the data folder is ``$BAYLING_DATA``.
Importing this module imports neither lm-eval nor datasets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayling_eval import languages, sources
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, make

Outcome = tuple[str, tuple[str, ...], str]
"""What one sample hands to the aggregation: target language, references, output."""


def dataset(**metadata: Any) -> dict[str, Any]:
    """Return the splits of a task as ``datasets.Dataset``, from its metadata.

    ``family`` with ``src_lang`` and ``tgt_lang``, or with ``lang``; other keys are ignored.
    """
    import datasets  # takes a second, and only lm-eval calls this

    family = metadata["family"]
    data = sources.data_folder(None)
    if family == "xcopa":
        splits = {
            split: sources.choices(family, metadata["lang"], split, data).rows
            for split in sources.CHOICE_SPLITS
        }
        rows = {"validation": splits["val"], "test": splits["test"]}
    else:
        rows = {"test": tuple(translation_docs(_pair(metadata), data))}
    return {
        split: datasets.Dataset.from_list([dict(row) for row in docs])
        for split, docs in rows.items()
    }


def _pair(metadata: dict[str, Any]) -> tuple[str, str, str]:
    family = metadata["family"]
    if "src_lang" not in metadata or "tgt_lang" not in metadata:
        raise UserError(
            f"{family}_pair needs a pair: --metadata "
            '\'{"src_lang": "deu_Latn", "tgt_lang": "fra_Latn"}\''
        )
    src, tgt = (languages.resolve(metadata[side], family) for side in ("src_lang", "tgt_lang"))
    return family, src, tgt


def translation_docs(pair: tuple[str, str, str], data: Any) -> list[dict[str, Any]]:
    """Return the docs of a direction (family, source, target) as task templates see them."""
    found = sources.parallel(*pair, data)
    src_name, tgt_name = (languages.get(key).name for key in pair[1:])
    columns = list(zip(*found.references.values(), strict=True))
    return [
        {
            "id": index,
            "source": source,
            "reference": columns[index][0],
            "references": list(columns[index]),
            "src_name": src_name,
            "tgt_name": tgt_name,
            "tgt_lang": pair[2],
            "document": found.documents[index] if found.documents else "",
        }
        for index, source in enumerate(found.sources)
    ]


def process_translation(doc: dict[str, Any], results: Sequence[str]) -> dict[str, Outcome]:
    """Hand an answer to the three corpus metrics; line feeds within it become spaces.

    Source: ictnlp/BayLing @ 8f6ecb91 scripts/translate.py (``strip()``, then line feeds to spaces).
    """
    answer = results[0].strip().replace("\n", " ")
    outcome = (doc["tgt_lang"], tuple(doc["references"]), answer)
    return {"bleu": outcome, "chrf": outcome, "chrf++": outcome}


def _corpus(metric: str, outcomes: Sequence[Outcome]) -> float:
    columns = zip(*(references for _, references, _ in outcomes), strict=True)
    segments = Segments(
        outcomes[0][0],
        [answer for _, _, answer in outcomes],
        {str(number): column for number, column in enumerate(columns)},
    )
    chosen = make(MetricSpec(metric))
    sums: Any = chosen.statistics(segments).values.sum(axis=0)
    return float(chosen.aggregate(np.asarray(sums)))


def corpus_bleu(outcomes: Sequence[Outcome]) -> float:
    """Corpus BLEU with the tokenizer of the target language."""
    return _corpus("bleu", outcomes)


def corpus_chrf(outcomes: Sequence[Outcome]) -> float:
    """Corpus chrF."""
    return _corpus("chrf", outcomes)


def corpus_chrfpp(outcomes: Sequence[Outcome]) -> float:
    """Corpus chrF++."""
    return _corpus("chrf++", outcomes)
