"""Figures as data URIs: compact, deterministic and without a network."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from conceptome.plotting import style
from conceptome.plotting.maps import draw_active, draw_base

MAP_SIZE = (3.2, 2.7)
SCREEN_DPI = 136
N_COLOURS = 256  # of a picture of many marks; a third of the space of all
RASTER_DPI = 110  # of the points inside an SVG
FONTS = "system-ui,sans-serif"


@dataclass(frozen=True)
class Picture:
    """An image in the page."""

    uri: str
    alt: str
    """What the image shows, for those who do not see it."""
    width: int
    """Pixels of the page at its natural size."""
    height: int


class ActivationMaps:
    """Maps of the same cells for many concepts: the grey cells are drawn once and then reused."""

    def __init__(self, coords: Float[np.ndarray, "cells 2"], *, size: tuple[float, float] = MAP_SIZE) -> None:
        with style.styled():
            self._figure = Figure(figsize=size, dpi=SCREEN_DPI)
            self._canvas = FigureCanvasAgg(self._figure)
            self._axes = self._figure.add_axes((0, 0, 1, 1))
            self._coords = coords
            draw_base(self._axes, coords)
            self._canvas.draw()  # type: ignore[no-untyped-call]
        self._base = self._canvas.copy_from_bbox(self._figure.bbox)  # type: ignore[no-untyped-call]
        self._palette = _map_palette()

    def draw(self, activation: Float[np.ndarray, " cells"], *, alt: str) -> Picture:
        """Draw one concept on the grey cells.

        Parameters
        ----------
        activation
            Activation of each cell.
        alt
            What the image shows.

        Returns
        -------
        The picture.
        """
        self._canvas.restore_region(self._base)  # type: ignore[no-untyped-call]
        points = draw_active(self._axes, self._coords, activation)
        if points is not None:
            self._axes.draw_artist(points)
            points.remove()
        return _png(self._canvas, self._figure, alt, palette=self._palette)


def chart(
    draw: Callable[[Axes], object],
    *,
    alt: str,
    size: tuple[float, float] = (3.2, 2.7),
    margins: tuple[float, float, float, float] = (0.16, 0.03, 0.15, 0.03),
) -> Picture:
    """Draw a figure with one axes as an SVG image.

    Parameters
    ----------
    draw
        Draws into the axes it is given.
    alt
        What the image shows.
    size
        Width and height, inches.
    margins
        Left, right, bottom and top margin as shares of the figure, so that the charts of all cards align.

    Returns
    -------
    The picture.
    """
    left, right, bottom, top = margins
    with style.styled():
        figure = Figure(figsize=size)
        draw(figure.add_axes((left, bottom, 1 - left - right, 1 - bottom - top)))
        return svg_picture(figure, alt=alt)


def svg_picture(figure: Figure, *, alt: str) -> Picture:
    """Write a figure as an SVG image.

    Parameters
    ----------
    figure
        What to write; points marked as rasterized become one embedded PNG.
    alt
        What the image shows.

    Returns
    -------
    The picture.
    """
    with style.styled():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=RASTER_DPI, metadata={"Date": None, "Creator": None})
    uri = "data:image/svg+xml," + quote(_compact(buffer.getvalue()), safe=" =:/;,'()+&!*@$?[]")
    return Picture(uri, alt, *_pixels(figure))


def png_picture(figure: Figure, *, alt: str) -> Picture:
    """Write a figure as a PNG: for more marks than an SVG should hold.

    Parameters
    ----------
    figure
        What to write.
    alt
        What the image shows.

    Returns
    -------
    The picture.
    """
    figure.set_dpi(SCREEN_DPI)
    canvas = FigureCanvasAgg(figure)
    with style.styled():
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    # maximum coverage keeps the colours of small areas, such as a colour bar's
    palette = Image.fromarray(pixels[..., :3]).quantize(N_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    return _png(canvas, figure, alt, palette=palette)


def full_bleed(draw: Callable[[Axes], object], *, alt: str, size: tuple[float, float]) -> Picture:
    """Draw axes that fill the whole image, as a PNG.

    Parameters
    ----------
    draw
        Draws into the axes it is given.
    alt
        What the image shows.
    size
        Width and height, inches.

    Returns
    -------
    The picture.
    """
    with style.styled():
        figure = Figure(figsize=size, dpi=SCREEN_DPI)
        canvas = FigureCanvasAgg(figure)
        draw(figure.add_axes((0, 0, 1, 1)))
        canvas.draw()  # type: ignore[no-untyped-call]
    return _png(canvas, figure, alt)


def _png(canvas: FigureCanvasAgg, figure: Figure, alt: str, *, palette: Image.Image | None = None) -> Picture:
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels[..., :3])
    if palette is not None:
        image = image.quantize(palette=palette, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(uri, alt, *_pixels(figure))


def _map_palette() -> Image.Image:
    """Make the palette of activation maps: white, the grey of silent cells, the colours, their blends."""
    full = style.activation_colours()(np.linspace(0, 1, 16))[:, :3]
    grey = np.array([to_rgb(style.BASE)])
    shades = [0.35, 0.7]
    blends = [1 - shade * (1 - colours) for colours in (grey, full[::4]) for shade in shades]
    colours = np.concatenate([np.ones((1, 3)), grey, full, *blends])
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.round(255 * colours).astype(np.uint8).tobytes())
    return palette


def _pixels(figure: Figure) -> tuple[int, int]:
    width, height = figure.get_size_inches()
    return round(96 * width), round(96 * height)


def _compact(svg: str) -> str:
    """Drop what a browser does not need: prolog, metadata, group names, white space, second decimals.

    Only the markup of tags is changed, never what is written between them; embedded images get few colours.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", re.sub(r"<(?!image)[^>]*>", lambda tag: _compact_tag(tag[0]), svg))
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]*", lambda data: _few_colours(data[0]), svg)
    return svg.replace("</style>", f" text{{font-family:{FONTS}}}</style>", 1)


def _compact_tag(tag: str) -> str:
    tag = re.sub(r' id="[A-Za-z0-9.]+_\d+"| transform="rotate\(-0 [^)]*\)"| font-family: [^;]*;', "", tag)
    return re.sub(r"(\d+\.\d)\d+", r"\1", re.sub(r"\s+", " ", tag))


def _few_colours(png: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(png))).quantize(16, method=Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
