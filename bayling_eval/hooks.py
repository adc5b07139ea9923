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

_SPLITS = {"val": "validation", "test": "test"}  # as task YAML names them


class Rows(list[dict[str, Any]]):
    """A split, with what of ``datasets.Dataset`` lm-eval asks for.

    A real one costs 12 ms a task and 0.08 ms a document, half of all the work but the engine's.
    """

    @property
    def features(self) -> dict[str, Any]:
        """Return the columns."""
        return self[0]


def dataset(**metadata: Any) -> dict[str, Rows]:
    """Return the splits of a task from its metadata.

    ``family`` with ``src_lang`` and ``tgt_lang``, or with ``lang``; other keys are ignored.
    """
    family = metadata["family"]
    data = None if family in sources.BUNDLED else sources.data_folder(None)
    if family in sources.CHOICE_SPLITS:
        rows = {
            _SPLITS[split]: sources.choices(family, metadata["lang"], split, data).rows
            for split in sources.CHOICE_SPLITS[family]
        }
    else:
        rows = {"test": tuple(translation_docs(_pair(metadata), data))}
    return {split: Rows(map(dict, docs)) for split, docs in rows.items()}


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


def clean(answer: str) -> str:
    """Return the translation within an answer: no space around it, no line feeds in it.

    Source: ictnlp/BayLing @ 8f6ecb91 scripts/translate.py (``strip()``, then line feeds to spaces).
    """
    return answer.strip().replace("\n", " ")


def process_translation(doc: dict[str, Any], results: Sequence[str]) -> dict[str, Outcome]:
    """Hand an answer to the three corpus metrics."""
    outcome = (doc["tgt_lang"], tuple(doc["references"]), clean(results[0]))
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
