"""Makes `NotoSansCJK-KR.otf` and `-SC.otf`: what the class material's PDFs need of Noto Sans CJK.

    python -m lesson.assets.subset_cjk /path/to/NotoSansCJK-Regular.ttc

The whole font is in Debian's fonts-noto-cjk and, on PyPI, in noto-cjk-sans-otc. Each subset has the
Latin letters and every character of its language's texts: a sheet with a new character needs a new
subset, and a test says so.
"""

import sys
from pathlib import Path

from lesson import languages
from lesson.prose import sentences

HERE = Path(__file__).parent
SUBSETS = {
    tag: languages.language(tag).font.rpartition(" ")[2]
    for tag in languages.languages()
    if tag != languages.DEFAULT
}
LATIN = (range(0x20, 0x7F), map(ord, "°±²³µ·×÷½ÄÖÜßäéöü–—‘’“”…•←→−≈≠≤≥√∞☐☑⁰¹⁴⁵⁶⁷⁸⁹⁻\u202f"))


def characters(tag: str) -> set[str]:
    """Every character beyond Latin in the texts of a language, those of figures included."""
    files = (path for root in languages.__path__ for path in Path(root, tag).glob("*.toml"))
    texts = [file.read_text(encoding="utf-8") for file in files] + [*sentences(tag).values()]
    return {c for text in texts for c in text if ord(c) >= 0x2E80}


def path(tag: str) -> Path:
    """The subset for a language."""
    return HERE / f"NotoSansCJK-{SUBSETS[tag]}.otf"


def main(whole: str) -> None:
    """Write the subsets beside this file and say how large they are."""
    from fontTools import subset, ttLib

    latin = {code for codes in LATIN for code in codes}
    for tag, region in SUBSETS.items():
        fonts = ttLib.TTCollection(whole).fonts
        font = next(f for f in fonts if f["name"].getDebugName(1) == f"Noto Sans CJK {region}")
        options = subset.Options(
            hinting=False, layout_features=["kern"], name_IDs=[0, 1, 2, 13, 14]
        )
        options.drop_tables += ["vhea", "vmtx", "VORG", "BASE"]
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=latin | {ord(c) for c in characters(tag)})
        subsetter.subset(font)
        font.save(path(tag))
        print(f"{path(tag).name}: {path(tag).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
