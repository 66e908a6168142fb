package main

import (
	"bytes"
	"fmt"
	"html/template"
	"time"
)

// The measures of the page, in pixels.
const (
	pageWidth  = 1200
	pageLeft   = 160 // names of rows
	pageTop    = 24  // times
	pageRow    = 22
	pageBar    = 16
	pageTicks  = 8   // at most, beside that of the start
	leastShown = 0.5 // width of a bar
)

type (
	pageBarDoc struct {
		X, Y, W float64
		Class   string
		Title   string
	}
	pageArrowDoc struct{ X1, Y1, X2, Y2 float64 }
	pageRowDoc   struct {
		Y     float64
		Label string
		Odd   bool
	}
	pageTickDoc struct {
		X     float64
		Label string
	}
	pageDoc struct {
		*timeline
		Width, Height, Bar, RowHeight, Left, Top int
		Bars                                     []pageBarDoc
		Arrows                                   []pageArrowDoc
		Labels                                   []pageRowDoc
		Ticks                                    []pageTickDoc
		Took                                     time.Duration
	}
)

// page draws the timeline as one HTML file: a row a worker, a bar a run, an arrow a
// steal.
func (l *timeline) page() ([]byte, error) {
	d := pageDoc{
		timeline: l, Width: pageWidth, Height: pageTop + pageRow*max(len(l.Rows), 1) + 4, Bar: pageBar, RowHeight: pageRow,
		Left: pageLeft, Top: pageTop, Took: l.End.Sub(l.Start),
	}
	scale := float64(pageWidth-pageLeft-10) / float64(max(d.Took, 1))
	x := func(t time.Time) float64 { return pageLeft + scale*float64(t.Sub(l.Start)) }
	y := func(row int) float64 { return float64(pageTop + pageRow*row + (pageRow-pageBar)/2) }
	for i, r := range l.Rows {
		d.Labels = append(d.Labels, pageRowDoc{float64(pageTop + pageRow*i), r.label(), i%2 == 1})
	}
	for at, step := time.Duration(0), tick(d.Took); at <= d.Took; at += step {
		d.Ticks = append(d.Ticks, pageTickDoc{x(l.Start.Add(at)), at.String()})
	}
	for _, r := range l.Runs {
		title := fmt.Sprintf("%s, attempt %d: %s after %v, begun at %v", r.name(), r.Attempt, r.Outcome, r.Took.Round(time.Microsecond), r.Start.Sub(l.Start).Round(time.Microsecond))
		if r.Error != "" {
			title += ": " + r.Error
		}
		class := "good"
		switch {
		case r.Outcome == "overtaken":
			class = "late"
		case r.Outcome != "ok" && r.Outcome != "forked":
			class = "bad"
		case r.Copy != "":
			class = "copy"
		}
		d.Bars = append(d.Bars, pageBarDoc{x(r.Start), y(r.Row), max(scale*float64(r.Took), leastShown), class, title})
		if !r.Left.IsZero() {
			d.Arrows = append(d.Arrows, pageArrowDoc{x(r.Left), y(l.queue()) + pageBar/2, x(r.Start), y(r.Row) + pageBar/2})
		}
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}

// tick returns the time between two ticks of a page: 1, 2 or 5 of some power of ten of
// nanoseconds.
func tick(took time.Duration) time.Duration {
	for step := time.Duration(1); ; step *= 10 {
		for _, of := range []time.Duration{1, 2, 5} {
			if took <= pageTicks*of*step {
				return of * step
			}
		}
	}
}

// Round returns how long the job took, as the page says it.
func (d pageDoc) Round() time.Duration { return d.Took.Round(tick(d.Took) / 100) }

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>job {{.Job}}</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 24px; color: #222; background: #fff }
svg { display: block; max-width: 100%; height: auto }
text { font: 11px system-ui, sans-serif; fill: #444 }
.odd { fill: #f5f5f5 } .even { fill: #fff } .tick { stroke: #ddd }
.good { fill: #4c8f5f } .bad { fill: #c0504d } .copy { fill: #4a7fb5 } .late { fill: #aaa }
.good, .bad, .copy, .late { stroke: #fff; stroke-width: .5 } .good:hover, .bad:hover, .copy:hover, .late:hover { fill: #222 }
.steal { stroke: #d99000; stroke-width: 1; opacity: .4 }
</style>
<h1>job {{.Job}}</h1>
<p>{{.Code}}: {{len .Runs}} runs in {{.Round}}, {{len .Arrows}} of them stolen{{with .Lost}}; {{.}} more were lost with their peer and are not shown{{end}}.
A bar is a run (hover for its task): green if it went well, blue if that was a backup or another copy, grey if a
backup was faster, red if it failed. An arrow leads from the queue to where a stolen task ran.
Each peer's times are by its own clock.</p>
<svg viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" role="img" aria-label="runs by worker">
<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="5" markerHeight="5" orient="auto"><path d="M0,0L6,3L0,6z" fill="#d99000"/></marker></defs>
{{range .Labels}}<rect class="{{if .Odd}}odd{{else}}even{{end}}" x="0" y="{{.Y}}" width="{{$.Width}}" height="{{$.RowHeight}}"/><text x="4" y="{{.Y}}" dy="15">{{.Label}}</text>
{{end}}{{range .Ticks}}<line class="tick" x1="{{.X}}" x2="{{.X}}" y1="{{$.Top}}" y2="{{$.Height}}"/><text x="{{.X}}" y="14" text-anchor="middle">{{.Label}}</text>
{{end}}{{range .Bars}}<rect class="{{.Class}}" x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{$.Bar}}"><title>{{.Title}}</title></rect>
{{end}}{{range .Arrows}}<line class="steal" x1="{{.X1}}" y1="{{.Y1}}" x2="{{.X2}}" y2="{{.Y2}}" marker-end="url(#tip)"/>
{{end}}</svg>
</html>
`))
