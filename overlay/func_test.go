package overlay

import (
	"context"
	"errors"
	"strings"
	"testing"
)

type pair struct{ A, B int }

func TestFuncCarriesValues(t *testing.T) {
	sum := Func("sum/v1", func(_ context.Context, p pair) (int, error) {
		if p.A < 0 {
			return 0, errors.New("negative")
		}
		return p.A + p.B, nil
	})
	raw := Func("raw/v1", func(_ context.Context, b []byte) ([]byte, error) { return append(b, 0xff), nil })
	bad := Func("bad/v1", func(context.Context, string) (chan int, error) { return make(chan int), nil })
	for _, tt := range []struct {
		f interface {
			AnyFunc
			run(context.Context, []byte) ([]byte, error)
		}
		in, out string
		err     string
	}{
		{f: sum, in: `{"A":2,"B":3}`, out: "5"},
		{f: sum, in: `{"A":-1}`, err: "negative"},
		{f: sum, in: `{`, err: "read input of sum/v1"},
		{f: raw, in: "\x00\x01", out: "\x00\x01\xff"}, // as it is, not as JSON
		{f: raw, in: "", out: "\xff"},
		{f: bad, in: `""`, err: "write output of bad/v1"},
	} {
		out, err := tt.f.run(t.Context(), []byte(tt.in))
		switch {
		case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s(%q): %v, want %q", tt.f.Name(), tt.in, err, tt.err)
		case string(out) != tt.out:
			t.Errorf("%s(%q) = %q, want %q", tt.f.Name(), tt.in, out, tt.out)
		}
	}
}

func TestDivideCarriesValues(t *testing.T) {
	sum := Divide("sum/v1", func(_ context.Context, p pair) (int, []pair, error) {
		switch {
		case p.A < 0:
			return 0, nil, errors.New("negative")
		case p.B-p.A < 2:
			return p.A, nil, nil
		}
		return p.A, []pair{{p.A + 1, p.B}}, nil
	}, func(_ context.Context, own int, parts []int) (int, error) {
		for _, n := range parts {
			own += n
		}
		return own, nil
	})
	out, parts, err := sum.runWork(t.Context(), []byte(`{"A":3,"B":6}`))
	if string(out) != "3" || len(parts) != 1 || string(parts[0]) != `{"A":4,"B":6}` || err != nil {
		t.Errorf("work gave %q, %q, %v", out, parts, err)
	}
	if out, parts, err := sum.runWork(t.Context(), []byte(`{"A":5,"B":6}`)); string(out) != "5" || len(parts) != 0 || err != nil {
		t.Errorf("work that is not divided gave %q, %q, %v", out, parts, err)
	}
	if _, _, err := sum.runWork(t.Context(), []byte(`{"A":-1}`)); err == nil || err.Error() != "negative" {
		t.Errorf("work failed with %v", err)
	}
	if out, err := sum.runJoin(t.Context(), out, [][]byte{[]byte("9"), []byte("1")}); string(out) != "13" || err != nil {
		t.Errorf("join gave %q, %v", out, err)
	}
	if _, err := sum.runJoin(t.Context(), out, [][]byte{[]byte("x")}); err == nil || !strings.Contains(err.Error(), "output of part 0 of sum/v1") {
		t.Errorf("join of what is no number: %v", err)
	}
}

func TestTaskError(t *testing.T) {
	for want, err := range map[string]TaskError{
		"task 3 of job j: too large":              {Job: "j", Index: 3, Reason: "too large"},
		"task 0 of job j, last run by p: no luck": {Job: "j", Peer: "p", Reason: "no luck"},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err.Error(), want)
		}
	}
}
