package main

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

// handMade is a timeline with a run of each kind: one that went well, one that failed where it was
// stolen, and one that its backup overtook.
func handMade() *timeline {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	return newTimeline(client.Job{ID: "j", Code: "f/v1", Results: []client.TaskResult{
		{Index: 0, History: []client.Attempt{{Peer: "A", Outcome: "ok", MS: 5, Started: at(10), Worker: 1}}},
		{Index: 1, History: []client.Attempt{
			{Peer: "B", Outcome: "lost", Error: "peer down"},
			{Peer: "B", Outcome: "error", Error: "<bad>", MS: 7, Started: at(20), Left: at(4), Worker: 0},
		}},
		{Index: 2, History: []client.Attempt{
			{Peer: "A", Outcome: "overtaken", MS: 6, Started: at(15), Worker: 1},
			{Peer: "B", Outcome: "ok", MS: 1, Started: at(19), Worker: 0, Copy: 1},
		}},
	}}, "A", peerNames{"A": "anna", "B": "bert"})
}

func TestTimeline(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	names := peerNames{"A": "anna", "B": "bert"}
	l := handMade()
	var rows []string
	for _, r := range l.Rows {
		rows = append(rows, r.label())
	}
	if diff := cmp.Diff([]string{"anna queue", "anna worker 1", "bert worker 0"}, rows); diff != "" {
		t.Errorf("rows:\n%s", diff)
	}
	if l.Lost != 1 || !l.Start.Equal(at(4)) || !l.End.Equal(at(27)) {
		t.Errorf("%d lost, from %v to %v", l.Lost, l.Start, l.End)
	}
	b, err := json.Marshal(l.trace())
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"process_name","ph":"M","ts":0,"pid":1,"tid":0,"args":{"name":"anna"}},` +
		`{"name":"thread_name","ph":"M","ts":0,"pid":1,"tid":0,"args":{"name":"anna queue"}},` +
		`{"name":"thread_name","ph":"M","ts":0,"pid":1,"tid":2,"args":{"name":"anna worker 1"}},` +
		`{"name":"process_name","ph":"M","ts":0,"pid":2,"tid":0,"args":{"name":"bert"}},` +
		`{"name":"thread_name","ph":"M","ts":0,"pid":2,"tid":1,"args":{"name":"bert worker 0"}},` +
		`{"name":"task 0","cat":"ok","ph":"X","ts":1000010000,"dur":5000,"pid":1,"tid":2,"args":{"attempt":1,"outcome":"ok"}},` +
		`{"name":"task 2","cat":"overtaken","ph":"X","ts":1000015000,"dur":6000,"pid":1,"tid":2,"args":{"attempt":1,"outcome":"overtaken"}},` +
		`{"name":"task 2 (backup)","cat":"ok","ph":"X","ts":1000019000,"dur":1000,"pid":2,"tid":1,"args":{"attempt":2,"copy":"backup","outcome":"ok"}},` +
		`{"name":"task 1","cat":"error","ph":"X","ts":1000020000,"dur":7000,"pid":2,"tid":1,"args":{"attempt":2,"error":"\u003cbad\u003e","outcome":"error"}},` +
		`{"name":"given","cat":"steal","ph":"X","ts":1000004000,"dur":1,"pid":1,"tid":0},` +
		`{"name":"steal","cat":"steal","ph":"s","ts":1000004000,"pid":1,"tid":0,"id":4},` +
		`{"name":"steal","cat":"steal","ph":"f","ts":1000020000,"pid":2,"tid":1,"id":4,"bp":"e"}]`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("trace:\n%s", diff)
	}
	page, err := l.page()
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, string(page), 4, 1)
	for _, class := range []string{"good", "late", "copy", "bad"} {
		if n := strings.Count(string(page), `<rect class="`+class+`"`); n != 1 {
			t.Errorf("%d bars of class %s, want 1", n, class)
		}
	}
	if strings.Contains(string(page), "<bad>") {
		t.Error("the page shows an error as it is")
	}
	if page, err = newTimeline(client.Job{ID: "j"}, "A", names).page(); err != nil {
		t.Fatal(err)
	}
	checkPage(t, string(page), 0, 0)
}

var drawing = regexp.MustCompile(`(?s)<svg.*</svg>`)

// checkPage checks that a page is whole, needs nothing else, and draws so many bars and
// arrows.
func checkPage(t *testing.T, page string, bars, arrows int) {
	t.Helper()
	if err := xml.Unmarshal([]byte(drawing.FindString(page)), new(struct{})); err != nil {
		t.Errorf("the drawing is not well-formed: %v", err)
	}
	for what, n := range map[string]int{"<title>task ": bars, `class="steal"`: arrows, "http": 0, "ZgotmplZ": 0, "NaN": 0, "Inf": 0} {
		if got := strings.Count(page, what); got != n {
			t.Errorf("%q occurs %d times, want %d", what, got, n)
		}
	}
}

// A job's timeline shows each of its runs, in files that hold what they should.
func TestJobTimeline(t *testing.T) {
	p := startPeers(t, "anna", "bert")[0]
	var job client.Job
	p.doc(&job, "submit", "sleep", "--input", "20ms", "--n", "16")
	dir := t.TempDir()
	trace, page := filepath.Join(dir, "t.json"), filepath.Join(dir, "t.html")
	var doc struct{ Runs, Steals, Lost int }
	p.doc(&doc, "job", "timeline", job.ID, "--trace", trace, "--html", page)
	if doc.Runs < 16 || doc.Steals > doc.Runs {
		t.Errorf("%+v", doc)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		TraceEvents []struct {
			Ph, Cat string
			TS, Dur int64
		}
	}
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	runs := 0
	for _, e := range read.TraceEvents {
		if e.Ph == "X" && e.Cat == "ok" {
			if runs++; e.Dur < 20_000 || time.Since(time.UnixMicro(e.TS)) > time.Hour {
				t.Errorf("a run of 20 ms: %+v", e)
			}
		}
	}
	if runs != 16 {
		t.Errorf("%d good runs of 16 tasks", runs)
	}
	if b, err = os.ReadFile(page); err != nil {
		t.Fatal(err)
	}
	checkPage(t, string(b), doc.Runs, doc.Steals)
	p.run("job", "timeline", job.ID, "--trace", filepath.Join(dir, "none", "t.json"), "--html", page).fails(client.CodeNoFile, "none")
	p.run("job", "timeline", strings.Repeat("0", 32)).fails(client.CodeNotFound)
}
