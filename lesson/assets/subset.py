"""Makes `STIXTwoMath-subset.woff2`: the part of STIX Two Math that the lesson's formulas need.

    python -m lesson.assets.subset

The whole font comes with the package ziamath, which draws the formulas inside the figures with it:
so formulas look alike in a figure and beside it. A browser finds the sizes of brackets and sums in
the font's MATH table, and the small forms of letters in its features: both are kept.
"""

import importlib.resources
from pathlib import Path

SUBSET = Path(__file__).with_name("STIXTwoMath-subset.woff2")

CHARACTERS = (
    range(0x0020, 0x007F),  # Latin, digits
    map(ord, "¬°±²³µ·×÷"),
    map(ord, "ˆˇˉ˘˙˜"),  # accents on their own ...
    range(0x0300, 0x0309),  # ... and over a letter: hat, tilde, bar, dots
    map(ord, "\u030c\u0331\u0332\u0338\u20d7"),
    range(0x0391, 0x03CA),  # Greek
    map(ord, "ϑϕϖϱϵ"),
    map(ord, "‐–—‖‘’“”•…′″‴‾⁄"),
    range(0x2061, 0x2065),  # invisible: function application, times
    map(ord, "ℎℒℓℕℚℝℤ∂∇ℂ"),  # ℎ is the italic h
    map(ord, "←↑→↓↔↕↖↗↘↙↦⇐⇒⇔⟵⟶⟷⟸⟹⟺"),
    map(ord, "∀∃∅∆∈∉∋∏∑−∓∕∗∘∙√∝∞∣∥∧∨∩∪∫≈≔≜≝≠≡≤≥≪≫⊂⊆⊕⊖⊗⊘⊙⊤⊥⋅⋆⋮⋯⋰⋱⨀⨁⨂"),
    map(ord, "⌈⌉⌊⌋⟦⟧⟨⟩⏞⏟"),
    range(0x1D400, 0x1D468),  # bold, italic
    range(0x1D6A8, 0x1D71C),  # Greek bold, italic
    map(ord, "𝚤𝚥𝟎𝟏"),  # dotless i and j, bold digits
)


def main() -> None:
    """Write the subset beside this file and say how large it is."""
    from fontTools import subset

    # ssty: forms for indices; dtls: no dot below an accent; flac: flat accents
    features = ["ccmp", "dtls", "flac", "kern", "mark", "mkmk", "ssty"]
    options = subset.Options(flavor="woff2", hinting=False, layout_features=features)
    whole = importlib.resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    font = subset.load_font(str(whole), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for characters in CHARACTERS for code in characters])
    subsetter.subset(font)
    subset.save_font(font, str(SUBSET), options)
    print(f"{SUBSET.name}: {SUBSET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
