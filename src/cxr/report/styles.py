"""How a figure is dressed and saved: as a picture that stands alone (`PRINT`), or for the report's page (`PAGE`)."""

import functools
import io
import math
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from cxr.core import artifacts
from cxr.core.errors import composed, one_line
from cxr.core.findings import colours

LINE_WIDTH = 1.7  # points
PALE = {"alpha": 0.4}  # of too few patients
# A dash for every eight findings: with more than eight, colour alone does not tell them apart.
DASHES = ("-", (0, (5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (6, 1, 1, 1, 1, 1)))
INK, LINE = "#010203", "#040506"  # stand-ins that become the page's text colour and its colour of thin lines
MOST_INSIDE = 8  # names of a legend within the axes
SPARE = 0.5  # inches around a legend outside them: with none to spare Matplotlib's layout does not settle in one pass
# A $ in a finding's name is a $, not the beginning of a formula.
COMMON = {"text.parse_math": False, "axes.axisbelow": True, "axes.titlesize": 10, "axes.titlelocation": "left"}
LETTERS = 64  # of a bold title on a line of a `square`; those of East Asia are twice as wide
LATIN = "DejaVu Sans"  # which Matplotlib brings along
OTHER_LETTERS = (  # where they are installed: Korean, Japanese, Chinese, Arabic … on Linux, macOS and Windows
    "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans CJK JP",
    "Noto Sans CJK SC", "Hiragino Sans", "Yu Gothic", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS",
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a figure is dressed.

    alone: nothing around it explains it, so it has a title, and figures and what is not defined in its legend. ink,
    line: colours of text and of thin lines. side: of a square figure, inches. points: of a curve, at most. settings:
    Matplotlib's.
    """

    alone: bool
    ink: str
    line: str
    side: float
    points: int
    settings: Mapping[str, Any]


PRINT = Style(
    True, "0.1", "0.6", 6.6, 2000,
    COMMON | {"figure.dpi": 130, "grid.color": "0.92", "legend.fontsize": 9,
              "figure.titlesize": 12, "figure.titleweight": "bold"},
)  # fmt: skip
PAGE = Style(
    False, INK, LINE, 4.4, 300,
    COMMON | {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": LINE, "xtick.color": INK,
              "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "grid.color": LINE,
              "grid.linewidth": 0.6, "legend.frameon": False, "legend.fontsize": 8},
)  # fmt: skip


@contextmanager
def _settings(given: Mapping[str, Any] = COMMON) -> Iterator[None]:
    """These settings of Matplotlib on its own defaults: no matplotlibrc changes a report (usetex would stop it)."""
    with matplotlib.style.context(["default", {**given, **_fonts()}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


@functools.cache
def _fonts() -> dict[str, list[str]]:
    installed = set(get_font_names())
    return {"font.sans-serif": [LATIN], "font.family": ["sans-serif", *filter(installed.__contains__, OTHER_LETTERS)]}


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure as a picture: the same bytes for the same figure. Letters that no font has are told."""
    with artifacts.written_whole(path) as temporary, _settings(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure.savefig(temporary, metadata={"Software": None})
    if any("missing from font" in str(warning.message) for warning in told):
        what = f"{path.name}: no font here has all of its letters, boxes stand for some."
        print(f"{what} Install one that has them, such as the package fonts-noto-cjk.", file=sys.stderr)


def as_svg(figure: Figure, key: str, label: str) -> str:
    """The figure as an SVG element: no width of its own, the page's colours, ``label`` for who can't see it."""
    buffer = io.StringIO()
    with _settings(COMMON | {"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # ids such as axes_1 would stand twice in a page
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1inherit", text)
    quoted = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    text = text.replace("<svg", f'<svg role="img" aria-label="{quoted}"', 1)
    return text.replace(INK, "currentColor").replace(LINE, "var(--line)")


def dressed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw with the settings of the style."""

    @functools.wraps(draw)
    def drawn(*arguments, style: Style = PAGE, **named) -> Figure:
        with _settings(style.settings):
            return draw(*arguments, style=style, **named)

    return drawn


def square(style: Style, title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(style.side, style.side), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x_label, ylabel=y_label, aspect="equal")
    axes.grid(True)
    if style.alone:
        # Not Matplotlib's wrap=True, which takes what stands between two $ for a formula whatever text.parse_math says.
        title = one_line(composed(title))
        lines = textwrap.fill(title, LETTERS if title.isascii() else LETTERS // 2)
        axes.set_title(lines, loc="center", fontsize=12, fontweight="bold")
    return figure, axes


def label_of(style: Style, name: str, figures: str) -> str:
    return f"{name}  {figures}" if style.alone else name


def dashes(findings: Sequence[str]) -> dict[str, str]:
    """Dash of each finding's line as SVG writes it, for a key; "" = none."""
    lines = {finding: look["linestyle"] for finding, look in looks(findings).items()}
    scaled = {finding: [] if line == "-" else line[1] for finding, line in lines.items()}
    return {finding: " ".join(f"{LINE_WIDTH * part:g}" for part in parts) for finding, parts in scaled.items()}


def looks(findings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dash of each finding's line."""
    return {
        finding: {"color": colour, "linestyle": DASHES[index // 8 % len(DASHES)], "linewidth": LINE_WIDTH}
        for index, (finding, colour) in enumerate(colours(findings).items())
    }


def thinned(style: Style, *arrays: np.ndarray) -> list[np.ndarray]:
    chosen = np.unique(np.linspace(0, len(arrays[0]) - 1, style.points).round().astype(int))
    return [array[chosen] if len(array) > style.points else array for array in arrays]


def place_legend(axes: Axes, style: Style, location: str, title: str = "", most_inside: int = MOST_INSIDE) -> None:
    """Names of the lines: in the axes; more than ``most_inside`` beside them, and the figure grows by what they take.

    A page has a key of all findings, so many names stand there alone.
    """
    handles, names = axes.get_legend_handles_labels()
    heading = {"title": title if style.alone else None, "alignment": "left"}
    if len(names) <= most_inside:
        if names:
            axes.legend(loc=location, **heading)
        return
    if not style.alone:
        return
    figure = axes.figure
    width, height = figure.get_size_inches()
    outside = functools.partial(figure.legend, handles, names, loc="outside right upper", **heading)
    legend = outside()
    columns = math.ceil(legend.get_window_extent().height / figure.dpi / (height - SPARE))
    if columns > 1:
        legend.remove()
        legend = outside(ncols=columns)
    figure.set_figwidth(width + legend.get_window_extent().width / figure.dpi + SPARE)
