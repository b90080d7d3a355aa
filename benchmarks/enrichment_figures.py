"""Draw the figures of docs/enrichment.md: themes by concept, the map and the leading edges of one concept.

Run ``python benchmarks/enrichment_figures.py --data pbmc3k_10x_raw.h5ad --gene-sets GOBP.gmt.gz --ontology
go-basic.obo --concept 58 --out docs/benchmarks``. Concepts are named by the cell type that they tell best, if
its F1 is 0.5 or more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import conceptome as cm

NAMED_F1 = 0.5


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of a fitted scVI; fitted anew when left out")
    parser.add_argument("--gene-sets", type=Path, required=True)
    parser.add_argument("--ontology", type=Path, required=True)
    parser.add_argument("--n-concepts", type=int, default=160)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--concept", type=int, required=True, help="for the map and the leading edges")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def save(ax: Axes, path: Path) -> None:
    ax.get_figure(root=True).savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close("all")


def main() -> None:
    args = parse()
    adata = cm.data.read(args.data)
    encoder = (
        cm.encoders.load("scvi", args.encoder) if args.encoder else cm.encoders.fit("scvi", adata, seed=0)
    )
    embeddings = encoder.embed(adata)
    options = cm.dictionaries.TopK(n_concepts=args.n_concepts, k=args.k)
    dictionary = cm.dictionaries.train(embeddings, options, seed=0)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, library_size=cm.data.library_size(adata), seed=0
    )
    attributions = cm.attribution.attribute(adata, encoder, dictionary, pairs, seed=0)
    gene_sets = cm.enrichment.load_gene_sets(args.gene_sets)
    ontology = cm.enrichment.read_obo(args.ontology)
    enrichment = cm.enrichment.gsea(attributions, gene_sets, seed=0)
    themes = cm.enrichment.themes(enrichment, ontology, gene_sets=gene_sets)
    labels = cm.evaluation.label_concepts(activations, adata.obs["cell_type"], seed=0)
    named = labels[labels["best_label_f1"] >= NAMED_F1]
    names = {int(concept): str(label) for concept, label in named["best_label"].items()}
    print(f"{len(themes)} findings of {themes['concept'].nunique()} concepts")
    save(cm.pl.theme_dots(themes, names=names), args.out / "theme_dots.png")
    save(cm.pl.enrichment_map(themes, args.concept), args.out / "enrichment_map.png")
    scores = attributions.scores().loc[args.concept]
    save(cm.pl.leading_edge(themes, scores, args.concept, n_genes=45), args.out / "leading_edge.png")


if __name__ == "__main__":
    main()
