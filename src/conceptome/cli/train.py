"""conceptome train: a dictionary, or a sweep over its sizes."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from conceptome.cli.shared import EXIT_DONE, add_verb, tell
from conceptome.core.errors import InputError

DEFAULT_SEEDS = 3


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verb ``train``."""
    from conceptome.pipeline.families import Family

    text = "train a dictionary on embeddings, or find out which size to train; continues where it stopped"
    parser = add_verb(verbs, "train", text, _train)
    add = parser.add_argument
    add(
        "input",
        metavar="INPUT",
        help="run folder of conceptome embed or run, .h5ad file (with --obsm), .npy file or zarr array",
    )
    add("--out", metavar="DIR", required=True, help="folder of the dictionary, or of the sweep")
    add("--obsm", metavar="KEY", help="entry of obsm with the embedding, such as X_pca")
    add("--groups", metavar="COLUMN", help="column of obs with the donor; whole donors are held out")
    add("--family", default="topk", choices=get_args(Family), help="default: %(default)s")
    several = "; several with --sweep"
    size = "concepts in the dictionary (default: min(512, 8 d_embed, n_train / 10))"
    add("--n-concepts", type=int, nargs="+", metavar="N", help=size + several)
    add("--k", type=int, nargs="+", metavar="K", help="active concepts per cell, not for relu_l1" + several)
    add("--max-epochs", type=int, metavar="N", help="most passes over the cells")
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s; of a sweep the first one")
    add("--device", default="cpu", choices=("cpu", "cuda"), help="default: %(default)s")
    text = (
        "train over sizes, active concepts and seeds, and recommend a setting; sizes and active concepts are "
        "the defaults and their halves, unless given"
    )
    add("--sweep", action="store_true", help=text)
    text = f"dictionaries per setting of a sweep (default: {DEFAULT_SEEDS})"
    add("--n-seeds", type=int, metavar="N", help=text)
    add("--n-workers", type=int, metavar="N", help="dictionaries trained at once (default: the processors)")


def _train(options: argparse.Namespace) -> int:
    from conceptome.pipeline.families import family_options
    from conceptome.pipeline.trainees import read_trainees
    from conceptome.pipeline.training import sweep_into, train_into
    from conceptome.pipeline.training_words import describe_sweep, describe_trained

    axes = {name: getattr(options, name) for name in ("n_concepts", "k")}
    common = {"seed": options.seed, "device": options.device}
    given = {"max_epochs": options.max_epochs}
    if options.sweep:
        family = family_options(options.family, given)
        cells = read_trainees(options.input, obsm=options.obsm, groups=options.groups)
        n_seeds = DEFAULT_SEEDS if options.n_seeds is None else options.n_seeds
        many = {"n_seeds": n_seeds, "n_workers": options.n_workers}
        found = sweep_into(options.out, cells, family, **axes, **many, **common)
        tell(describe_sweep(found, options.out, cells))
        return EXIT_DONE
    _require_single(options)
    given |= {name: values and values[0] for name, values in axes.items()}
    family = family_options(options.family, given)
    cells = read_trainees(options.input, obsm=options.obsm, groups=options.groups)
    dictionary = train_into(options.out, cells, family, **common)
    tell(describe_trained(dictionary, options.out, cells))
    return EXIT_DONE


def _require_single(options: argparse.Namespace) -> None:
    for name, option in (("n_seeds", "--n-seeds"), ("n_workers", "--n-workers")):
        if getattr(options, name) is not None:
            msg = f"{option} is for a sweep. Add --sweep, or leave {option} out."
            raise InputError(msg)
    for name, option in (("n_concepts", "--n-concepts"), ("k", "--k")):
        values = getattr(options, name) or []
        if len(values) > 1:
            msg = f"{option} has {len(values)} values, a dictionary has one. Give one, or add --sweep."
            raise InputError(msg)
