"""Makes a font of the documents: python3 subset.py Inter-Regular.otf regular.otf (needs fonttools)."""
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

RANGES = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x1E00, 0x1EFF), (0x2010, 0x2027),
    (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x2193), (0x2212, 0x2212),
    (0x2248, 0x2248), (0x2260, 0x2265),
]

font = TTFont(sys.argv[1])
layout = font["GSUB"].table
tabular = {}
for record in layout.FeatureList.FeatureRecord:
    if record.FeatureTag == "tnum":
        for index in record.Feature.LookupListIndex:
            for table in layout.LookupList.Lookup[index].SubTable:
                tabular.update(getattr(getattr(table, "ExtSubTable", table), "mapping", {}))
for table in font["cmap"].tables:
    for digit in range(0x30, 0x3A):
        if digit in table.cmap:
            table.cmap[digit] = tabular.get(table.cmap[digit], table.cmap[digit])

options = subset.Options(
    layout_features=[], hinting=False, notdef_outline=True, glyph_names=False, recalc_timestamp=False,
    name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14],
)
options.drop_tables += ["GSUB", "GPOS", "GDEF", "STAT"]
subsetter = subset.Subsetter(options)
subsetter.populate(unicodes=[u for first, last in RANGES for u in range(first, last + 1)])
subsetter.subset(font)
font.save(sys.argv[2])
