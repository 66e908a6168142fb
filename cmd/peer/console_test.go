package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
)

// recorder returns a console that writes to memory.
func recorder(json bool) (*console, *bytes.Buffer) {
	var err bytes.Buffer
	return &console{out: &bytes.Buffer{}, err: &err, getenv: func(string) string { return "" }, json: json}, &err
}

func TestStoryThatDoesNotHold(t *testing.T) {
	c, stderr := recorder(false)
	s := &story{c: c, out: c.out}
	s.check(true, "this holds")
	s.check(false, "%s ran no task", "dora")
	code := c.report(t.Context(), s.broken(t.Context(), errors.New("get songs/aria: lost")))
	meet(client.CodeUnhealthy)
	want := "error unhealthy: the story did not hold: dora ran no task; get songs/aria: lost\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" || code != 5 {
		t.Errorf("exit %d (-want +got):\n%s", code, diff)
	}
}

func TestReport(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		json bool
		want string
		code int
	}{
		"own code":      {t.Context(), &client.Error{Code: client.CodeQuorumLost, Message: "a\nb", Fix: "c"}, false, "error quorum-lost: a b\nfix: c\n", 6},
		"as JSON":       {t.Context(), &client.Error{Code: client.CodeNotFound, Message: `a "b"`}, true, `{"error":{"code":"not-found","message":"a \"b\"","fix":""}}` + "\n", 4},
		"no code":       {t.Context(), errors.New("x"), false, "error internal: x\n", 1},
		"of the home":   {t.Context(), bootstrap.ErrNoRing, false, "error no-ring: the home belongs to no ring\n", 1},
		"interrupted":   {cancelled, context.Canceled, false, "error interrupted: interrupted\n", 130},
		"out of time":   {t.Context(), context.DeadlineExceeded, false, "error timeout: context deadline exceeded\n", 6},
		"own, at a cut": {cancelled, client.ErrQuorum, false, "error quorum-lost: too few replicas answered\n", 6},
	} {
		console, stderr := recorder(c.json)
		if code := console.report(c.ctx, c.err); code != c.code {
			t.Errorf("%s: exit %d, want %d", name, code, c.code)
		}
		if diff := cmp.Diff(c.want, stderr.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCodesAreDocumented(t *testing.T) {
	for _, code := range client.ErrorCodes() {
		if code.Doc() == "" || code.Exit() == 0 {
			t.Errorf("%s: exit %d, doc %q", code, code.Exit(), code.Doc())
		}
	}
}

func TestTable(t *testing.T) {
	c, _ := recorder(false)
	var out strings.Builder
	table := newTable("NAME", "N\t", "NOTE")
	table.row("élan", 7, "x")
	table.row("b", 1234, "")
	table.write(c, &out)
	want := "" +
		"NAME     N  NOTE\n" +
		"élan     7  x\n" +
		"b     1234\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestShownOutput(t *testing.T) {
	for want, r := range map[string]client.TaskResult{
		"42":         {Output: []byte("42\n")},
		"3 bytes":    {Output: []byte("a\x00b")},
		"error: x y": {Error: "x\ny"},
		"":           {},
		"4 bytes":    {Output: []byte("a\nb\n")},
		"déjà vu":    {Output: []byte("déjà vu")},
	} {
		if got := shownOutput(r); got != want {
			t.Errorf("%+v is shown as %q, want %q", r, got, want)
		}
	}
}
