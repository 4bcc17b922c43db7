package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"time"
)

// The chart has a panel for each scene, two in a row. A panel shows when the ordinary user asked,
// and how long the answer took. All panels have the same logarithmic scale. The letters are so
// large because a phone shows the chart at a third of its width.
const (
	chartWidth, chartHeight = 960, 1110
	panelLeft, panelTop     = 124, 256
	panelWidth, panelHeight = 380, 240
	panelGap, rowGap        = 54, 166
	panelsInRow             = 2
	lineHeight              = 34
	letterWidth             = 14 // on average
)

var colors = [2]string{unlimited: "#c2410c", limited: "#1d4ed8"}

// chart is an SVG image while it is drawn.
type chart struct {
	bytes.Buffer
	length   time.Duration // of a scene
	from, to float64       // decimal logarithms of the seconds at the bottom and the top
}

func (c *chart) printf(format string, args ...any) { fmt.Fprintf(&c.Buffer, format+"\n", args...) }

// text draws a text. The attributes are those of SVG.
func (c *chart) text(x, y float64, attributes, text string) {
	c.printf(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, attributes, html.EscapeString(text))
}

// drawChart returns the chart as an SVG file.
func drawChart(acts []act, length time.Duration) []byte {
	c := &chart{length: length}
	c.from, c.to = bounds(acts)
	c.printf(
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
			`font-family="system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif" `+
			`font-size="27" fill="#1f2937">`,
		chartWidth,
		chartHeight,
		chartWidth,
		chartHeight,
	)
	c.printf(`<title>How long an ordinary user waits while others stampede</title>`)
	c.printf(`<desc>%s</desc>`, html.EscapeString(summary(acts)))
	c.printf(
		`<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="#ffffff" stroke="#d1d5db"/>`,
		chartWidth-1, chartHeight-1,
	)
	for i, line := range []string{"How long an ordinary user waits", "while others stampede"} {
		c.text(20, float64(46+i*40), `font-size="34" font-weight="bold"`, line)
	}
	c.legend(acts)
	const footer = chartHeight - 24
	lines := strings.Split(model(), "; ")
	for i, line := range lines {
		c.text(20, float64(footer-(len(lines)-1-i)*lineHeight), `fill="#6b7280"`, line)
	}
	c.text(
		chartWidth-20, footer, `fill="#6b7280" text-anchor="end"`, "go run ./examples/stampede",
	)
	for i, act := range acts {
		x := panelLeft + i%panelsInRow*(panelWidth+panelGap)
		y := panelTop + i/panelsInRow*(panelHeight+rowGap)
		c.printf(`<g transform="translate(%d %d)">`, x, y)
		c.panel(act, i%panelsInRow == 0)
		c.printf(`</g>`)
	}
	c.printf(`</svg>`)
	return c.Bytes()
}

// summary describes the chart in words.
func summary(acts []act) string {
	var parts []string
	for _, act := range acts {
		for i, result := range act.results {
			parts = append(parts, fmt.Sprintf("%s, %v: half of all waits for %s up to %v, the longest %v",
				act.title, side(i), act.command, result.waits.quantile(0.5), result.waits.quantile(1)))
		}
	}
	return strings.Join(parts, "; ")
}

func (c *chart) legend(acts []act) {
	x, y := 20.0, 120.0
	entry := func(color, shape, text string) {
		c.printf(`<g fill="%s" stroke="%s">`, color, color)
		c.marker(x+8, y, shape)
		c.printf(`</g>`)
		c.text(x+26, y+9, `fill="#1f2937"`, text)
		x += 26 + letterWidth*float64(len(text)) + 30
	}
	entry(colors[unlimited], "circle", unlimited.String())
	entry(colors[limited], "square", limited.String())
	c.text(chartWidth-20, y+9, `fill="#6b7280" text-anchor="end"`, "log scale")
	for _, act := range acts {
		for _, result := range act.results {
			if result.waits.answered() < len(result.waits) {
				x, y = 20, y+lineHeight
				entry("#6b7280", "open", "still without an answer when the scene ended")
				return
			}
		}
	}
}

// marker draws the mark of one wait.
func (c *chart) marker(x, y float64, shape string) {
	switch shape {
	case "circle":
		c.printf(`<circle cx="%.1f" cy="%.1f" r="5" stroke="none"/>`, x, y)
	case "square":
		c.printf(`<rect x="%.1f" y="%.1f" width="8" height="8" stroke="none"/>`, x-4, y-4)
	default:
		c.printf(`<path d="M%.1f %.1fl8 14h-16z" fill="#ffffff" stroke-width="2.5"/>`, x, y-9)
	}
}

// panel draws a scene. The origin is the top left corner of its panel.
func (c *chart) panel(a act, withScale bool) {
	c.text(0, -50, `font-weight="bold"`, a.caption)
	median := func(side side) string {
		return fmt.Sprintf(
			`<tspan fill="%s" font-weight="bold">%v</tspan>`, colors[side],
			a.results[side].waits.quantile(0.5),
		)
	}
	c.printf(
		`<text x="0" y="-16" fill="#4b5563">median %s → %s</text>`, median(unlimited), median(limited),
	)
	c.printf(`<rect width="%d" height="%d" fill="#f9fafb"/>`, panelWidth, panelHeight)
	for decade := math.Ceil(c.from); decade <= c.to; decade++ {
		y := c.y(math.Pow(10, decade))
		c.printf(`<path d="M0 %.1fh%d" stroke="#d1d5db"/>`, y, panelWidth)
		if withScale {
			c.text(-8, y+9, `text-anchor="end"`, decadeName(decade))
		}
	}
	end := c.end(a)
	step := niceStep(end)
	for i := 0; float64(i)*step <= end*1.0001; i++ {
		x := float64(i) * step / end * panelWidth
		c.printf(`<path d="M%.1f %dv7" stroke="#9ca3af"/>`, x, panelHeight)
		seconds := strconv.FormatFloat(float64(i)*step, 'g', 3, 64)
		c.text(x, panelHeight+lineHeight, `text-anchor="middle"`, seconds)
	}
	c.text(panelWidth/2, panelHeight+2*lineHeight, `text-anchor="middle"`, "seconds since it began")
	c.series(a.results[unlimited].waits, end, colors[unlimited], "circle")
	c.series(a.results[limited].waits, end, colors[limited], "square")
}

// series draws the waits of one side.
func (c *chart) series(all waits, end float64, color, shape string) {
	c.printf(`<g fill="%s" stroke="%s">`, color, color)
	var line strings.Builder
	for _, w := range all {
		fmt.Fprintf(&line, "%.1f,%.1f ", w.start.Seconds()/end*panelWidth, c.y(w.took.Seconds()))
	}
	c.printf(
		`<polyline points="%s" fill="none" stroke-width="2" stroke-opacity="0.35"/>`,
		strings.TrimSpace(line.String()),
	)
	for _, w := range all {
		mark := shape
		if !w.answered {
			mark = "open"
		}
		c.marker(w.start.Seconds()/end*panelWidth, c.y(w.took.Seconds()), mark)
	}
	c.printf(`</g>`)
}

func (c *chart) y(seconds float64) float64 {
	share := (math.Log10(max(seconds, 1e-6)) - c.from) / (c.to - c.from)
	return panelHeight * (1 - min(max(share, 0), 1))
}

// bounds returns the logarithms of round numbers of seconds, between which all waits lie.
func bounds(acts []act) (from, to float64) {
	shortest, longest := 10*time.Millisecond, 100*time.Millisecond
	for _, act := range acts {
		for _, result := range act.results {
			for _, w := range result.waits {
				shortest, longest = min(shortest, w.took), max(longest, w.took)
			}
		}
	}
	return -math.Log10(
			niceAbove(1 / max(shortest.Seconds(), 1e-6)),
		), math.Log10(
			niceAbove(longest.Seconds()),
		)
}

// decadeName returns the power of ten of seconds as a time.
func decadeName(decade float64) string {
	switch {
	case decade >= 0:
		return strconv.Itoa(int(math.Pow(10, decade))) + " s"
	case decade >= -3:
		return strconv.Itoa(int(math.Round(math.Pow(10, decade+3)))) + " ms"
	default:
		return strconv.Itoa(int(math.Round(math.Pow(10, decade+6)))) + " µs"
	}
}

// end returns the time at the right edge of the panel, in seconds.
func (c *chart) end(a act) float64 {
	last := c.length
	for _, result := range a.results {
		for _, w := range result.waits {
			last = max(last, w.start)
		}
	}
	return last.Seconds()
}

// niceStep returns the distance of the marks on an axis of that length.
func niceStep(length float64) float64 { return niceAbove(length / 5) }

// niceAbove returns the least number that is not below x and is 1, 2 or 5 times a power of ten.
func niceAbove(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= x {
			return step * power
		}
	}
	return 10 * power
}
