"""Contrast by WCAG: 3:1 for what has a meaning, 4.5:1 for text, in the light and in the dark."""

import pytest

from surgical_pipeline.report.palette import IN_THE_DARK, INK, MUTED, OF_STAGE, OF_STATUS, PAPER, rules


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", sorted({*OF_STAGE.values(), *OF_STATUS.values()}))
def test_every_colour_with_a_meaning_stands_out_from_the_page(color: str) -> None:
    assert contrast(color, PAPER) >= 3
    assert contrast(IN_THE_DARK[color], IN_THE_DARK[PAPER]) >= 3


@pytest.mark.parametrize("color", [INK, MUTED])
def test_text_can_be_read(color: str) -> None:
    assert contrast(color, PAPER) >= 4.5
    assert contrast(IN_THE_DARK[color], IN_THE_DARK[PAPER]) >= 4.5


def test_stages_and_statuses_have_a_colour_each() -> None:
    for colors in (OF_STAGE, OF_STATUS):
        assert len(set(colors.values())) == len(colors)


def test_rules_recolour_every_colour_and_for_print_back() -> None:
    assert rules(dark=True).count("{fill:") == rules(dark=False).count("{fill:") == len(IN_THE_DARK)
    assert f'svg [fill="{INK}"]{{fill:{INK}}}' in rules(dark=False)
