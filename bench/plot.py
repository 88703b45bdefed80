"""A line chart as SVG, in a few lines of our own: one panel for each table, the horizontal axis logarithmic."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 260, 62, 14, 34, 44
COLOURS = {"holdfast": "#1b6ca8", "floor": "#8a8a8a", "redis": "#b5443a"}
STEPS = (1, 2, 2.5, 5, 10)


def short(number):
    """1000 as 1k, 1048576 as 1M."""
    for size, letter in ((1 << 20, "M"), (10**6, "M"), (1 << 10, "k"), (10**3, "k")):
        if number >= size and number % size == 0:
            return f"{number // size}{letter}"
    return f"{number:g}"


def ceiling(value):
    """The next round number, for the end of the vertical axis."""
    power = 10 ** math.floor(math.log10(value or 1))
    return next(step * power for step in STEPS if step * power >= value)


def panel(title, unit, lines, x, y):
    """`lines`: {name: [(at, value), ...]}; the panel's corner is (x, y)."""
    places = sorted({at for points in lines.values() for at, _ in points})
    low, high = math.log(places[0]), math.log(max(places[-1], places[0] + 1))
    top = ceiling(max(value for points in lines.values() for _, value in points))

    def across(at):
        return x + LEFT + (WIDTH - LEFT - RIGHT) * (math.log(at) - low) / (high - low)

    def up(value):
        return y + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
    out = [f'<text x="{x + LEFT}" y="{y + 18}" class="title">{html.escape(title)}</text>']
    for part in range(5):
        value = top * part / 4
        out.append(f'<line x1="{x + LEFT}" x2="{x + WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}" class="grid"/>')
        out.append(f'<text x="{x + LEFT - 6}" y="{up(value) + 4:.1f}" class="end">{value:g}</text>')
    for at in places:
        out.append(f'<text x="{across(at):.1f}" y="{y + HEIGHT - BOTTOM + 18}" class="middle">{short(at)}</text>')
    out.append(f'<text x="{x + LEFT}" y="{y + HEIGHT - 8}" class="unit">{html.escape(unit)}</text>')
    for number, (name, points) in enumerate(sorted(lines.items())):
        colour = COLOURS.get(name, "#444444")
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                   + " ".join(f"{across(at):.1f},{up(value):.1f}" for at, value in sorted(points)) + '"/>')
        out += [f'<circle cx="{across(at):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>' for at, value in points]
        out.append(f'<text x="{x + WIDTH - RIGHT - 70 * number}" y="{y + 18}" class="end" fill="{colour}">{html.escape(name)}</text>')
    return out


def page(panels, columns=2):
    """`panels`: (title, unit, lines) each."""
    rows = (len(panels) + columns - 1) // columns
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * WIDTH} {rows * HEIGHT}" font-family="sans-serif" font-size="12">',
           "<style>.title{font-weight:bold}.grid{stroke:#dddddd}.end{text-anchor:end}.middle{text-anchor:middle}.unit{fill:#666666}</style>",
           '<rect width="100%" height="100%" fill="white"/>']
    for number, (title, unit, lines) in enumerate(panels):
        if any(lines.values()):
            out += panel(title, unit, lines, number % columns * WIDTH, number // columns * HEIGHT)
    return "\n".join([*out, "</svg>", ""])
