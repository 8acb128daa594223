"""Drawings: how they come out, and what is refused before it is rendered."""

import zipfile

import numpy as np
import pytest

from genovision.errors import InputError
from genovision.glyphs import LIMIT, colours, drawing_names, drawings, render, render_colour

pytest.importorskip("resvg_py")


def svg(inside: str, box: str = "0 0 72 72", opening: str = "") -> bytes:
    return f'<svg viewBox="{box}" xmlns="http://www.w3.org/2000/svg"{opening}>{inside}</svg>'.encode()


def test_black_on_white_becomes_bright_on_black():
    image = render(svg('<rect x="0" y="0" width="36" height="72" fill="#000"/>'), "half")
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert (image[:, :14] == 255).all() and (image[:, 14:] == 0).all()


def test_colours_become_luminance():
    for colour, luma in (("#f00", 0.299), ("#0f0", 0.587), ("#00f", 0.114)):
        image = render(svg(f'<rect width="72" height="72" fill="{colour}"/>'), colour)
        assert (image == round(255 * (1 - luma))).all()


def test_a_wide_drawing_is_centred():
    image = render(svg('<rect width="40" height="20" fill="#000"/>', "0 0 40 20"), "wide")
    assert (image[7:21] == 255).all() and (image[:7] == 0).all() and (image[21:] == 0).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (svg("<script>alert(1)</script>"), "holds an element script"),
        (svg("<image href='file:///etc/passwd'/>"), "holds an element image"),
        (svg("<text>a</text>"), "holds an element text"),
        (svg("<style>@import url(http://a)</style>"), "holds an element style"),
        (svg("<foreignObject/>"), "holds an element foreignObject"),
        (svg("<g href='#a'/>"), "the attribute href"),
        (svg("<g xmlns:x='http://www.w3.org/1999/xlink' x:href='http://a'/>"), "the attribute href"),
        (svg("<g onload='a()'/>"), "the attribute onload"),
        (svg("<rect fill='url(http://a)'/>"), "the attribute fill"),
        (svg("<rect style=\"fill:url( 'file:a' )\"/>"), "the attribute style"),
        (b'<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + svg("&a;"), "document type"),
        (svg("<path d='M0'/>")[:-9], "no whole SVG"),
        (b"\xff\xfe", "no SVG in UTF-8"),
        (b"<html/>", "outermost element is html"),
        (svg(" " * LIMIT), "are allowed for a drawing"),
        (svg("", opening=" width='0' height='0'"), "cannot be rendered"),
    ],
)
def test_anything_but_shapes_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        render(data, "x.svg")


def test_a_gradient_inside_the_drawing_is_allowed():
    gradient = '<defs><linearGradient id="a"><stop stop-color="#000"/></linearGradient></defs>'
    assert render(svg(f'{gradient}<rect width="72" height="72" fill="url(#a)"/>'), "x").max() == 255


def test_a_png_that_is_cut_short_is_refused():
    from resvg_py import svg_to_bytes

    png = bytes(svg_to_bytes(svg_string=svg("<circle cx='9' cy='9' r='9'/>").decode(), width=64, height=64))
    assert colours(png, "x").shape == (64, 64, 4)
    for data in (png[: len(png) // 2], b"", b"GIF89a"):
        with pytest.raises(InputError, match=r"x\.png is no whole PNG"):
            colours(data, "x.png")


def test_colours_are_cut_to_what_is_drawn_and_centred():
    image = render_colour(svg('<rect x="10" y="20" width="40" height="20" fill="#f00"/>'), "wide", 14)
    assert image.shape == (14, 14, 4)
    np.testing.assert_allclose(
        image[4:10], np.broadcast_to([1, 0, 0, 1], (6, 14, 4)), atol=0.15
    )  # partly covered edges
    assert (image[:3] == 0).all() and (image[11:] == 0).all()
    with pytest.raises(InputError, match=r"empty\.svg shows nothing"):
        render_colour(svg(""), "empty.svg", 14)


def test_an_edge_is_half_transparent_and_keeps_its_colour():
    # a triangle over the square: along its slope pixels are partly covered, and none of them darkens
    image = render_colour(svg('<path d="M0 0 L72 72 L0 72 Z" fill="#0f0"/>'), "triangle", 8)
    assert ((image[..., 3] > 0.3) & (image[..., 3] < 0.7)).sum() >= 8
    drawn = image[image[..., 3] > 0]
    np.testing.assert_allclose(drawn[:, :3], np.broadcast_to([0, 1, 0], (len(drawn), 3)), atol=1e-6)


def test_a_bomb_is_refused_before_it_is_opened_up():
    tenfold = {i: f"&a{i - 1};" * 10 for i in range(1, 12)}
    entities = "".join(f'<!ENTITY a{i} "{text}">' for i, text in tenfold.items())
    billion = f'<!DOCTYPE svg [<!ENTITY a0 "laugh">{entities}]>'.encode() + svg("&a11;")
    nested = svg("<g>" * 20_000 + "</g>" * 20_000)
    many = svg("<g opacity='.9'><path d='M0 0h9'/></g>" * 4000)
    used = svg("<defs><g id='a'><path d='M0 0h9'/></g></defs>" + "<use href='#a'/>" * 100)
    layer = "<path d='M0 0h9v9' clip-path='url(#c%d)'/>"
    clips = "".join(f"<clipPath id='c{i}'>{layer % (i + 1) * 10}</clipPath>" for i in range(9))
    clipped = svg(f"<defs>{clips}</defs><path d='M0 0h9v9' clip-path='url(#c0)'/>")
    styled = svg("<clipPath id='a'><path d='M0 0h9v9' style='clip-path:url(#a)'/></clipPath>")
    for data, message in (
        (billion, "document type"),
        (nested, "more than 16 elements deep"),
        (many, "more than 500 elements"),
        (used, "holds an element use"),
        (clipped, "clips a clipPath by another one"),
        (styled, "clips a clipPath by another one"),
    ):
        with pytest.raises(InputError, match=message):
            render_colour(data, "bomb.svg", 14)
    # a gigantic canvas of few bytes is drawn at the size asked for
    huge = svg('<rect width="9" height="9"/>', "0 0 9 9", " width='999999999' height='999999999'")
    assert render_colour(huge, "huge.svg", 14).shape == (14, 14, 4)


def test_drawings_are_chosen_by_name_without_skin_tones(tmp_path):
    path = tmp_path / "openmoji.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("1F600.svg", "1F44B.svg", "1F44B-1F3FD.svg", "LICENSE", "1F600.svg.gz"):
            archive.writestr(f"openmoji/{name}", svg(""))
    names = drawing_names(path)
    assert names == ["openmoji/1F44B.svg", "openmoji/1F600.svg"]
    assert [label for label, _ in drawings(path, names)] == [f"{path}::{name}" for name in names]
    with pytest.raises(InputError, match=r"b\.svg is missing or damaged"):
        list(drawings(path, ["b.svg"]))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="no whole zip archive"):
        drawing_names(path)
