package bootstrap

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/bootstrap/pass"
)

func goldenRing() Ring {
	r := Ring{Name: "choir-7", Open: true, Shards: 256, Replicas: 3, Created: time.Date(2025, 11, 23, 4, 5, 6, 0, time.UTC)}
	for i := range r.ID {
		r.ID[i] = byte(0xa0 + i)
	}
	return r
}

func TestRingGolden(t *testing.T) {
	r := goldenRing()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ring.json", b)
	got, err := ParseRing(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	if got, want := r.Protocol("call/1"), "/chorus/a0a1a2a3a4a5a6a7/call/1"; got != want {
		t.Errorf("protocol %s, want %s", got, want)
	}
}

func TestClosedRingGolden(t *testing.T) {
	r := goldenRing()
	r.Open, r.Key = false, pass.Key{1, 2, 3}
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "closed.json", b)
	got, err := ParseRing(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

func TestNewRing(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	a, err := NewRing("a", pass.Key{}, 256, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRing("a", pass.Key{}, 256, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == b.ID || a.ID == (RingID{}) {
		t.Errorf("IDs %s and %s", a.ID, b.ID)
	}
	var buf bytes.Buffer
	if err := WriteRing(&buf, a); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRing(iotest.OneByteReader(&buf))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	for _, bad := range []struct {
		name             string
		shards, replicas int
	}{
		{"", 256, 3},
		{"two words", 256, 3},
		{"-x", 256, 3},
		{"a/b", 256, 3},
		{"é", 256, 3},
		{strings.Repeat("x", 65), 256, 3},
		{"a", 0, 3},
		{"a", -256, 3},
		{"a", 255, 3},
		{"a", 1 << 17, 3},
		{"a", 256, 0},
		{"a", 256, 65},
	} {
		if r, err := NewRing(bad.name, pass.Key{}, bad.shards, bad.replicas, now); err == nil {
			t.Errorf("made %+v", r)
		}
	}
}

func TestParseRingRefuses(t *testing.T) {
	b, err := goldenRing().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) string {
		s := strings.Replace(string(b), old, new, 1)
		if s == string(b) {
			t.Fatalf("%q is not in the golden ring", old)
		}
		return s
	}
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "unexpected end"},
		{"an array", "[]", "cannot unmarshal"},
		{"trailing", string(b) + "{}", "invalid character"},
		{"unknown key", edit(`"open"`, `"opem"`), "opem"},
		{"newer", edit(`"format": 1`, `"format": 3`), "format 3"},
		{"open with the format of closed", edit(`"format": 1`, `"format": 2`), "open is true"},
		{"open with a key", edit(`"open": true`, `"open": true, "key": "`+strings.Repeat("01", 32)+`"`), "an open one has none"},
		{"short key", edit(`"open": true`, `"open": true, "key": "01"`), "64 hex digits"},
		{"long key", edit(`"open": true`, `"open": true, "key": "`+strings.Repeat("01", 33)+`"`), "64 hex digits"},
		{"bad key", edit(`"open": true`, `"open": true, "key": "zz"`), "64 hex digits"},
		{"no format", edit(`"format": 1,`, ``), "format 0"},
		{"closed without a key", strings.Replace(edit(`true`, `false`), `"format": 1`, `"format": 2`, 1), "has a key"},
		{"short ID", edit("a0a1", "a0"), "62 digits"},
		{"bad ID", edit("a0a1", "zzzz"), "invalid byte"},
		{"shards", edit("256", "257"), "power of two"},
		{"many shards", edit("256", "131072"), "power of two"},
		{"fraction", edit("256", "2.5"), "cannot unmarshal"},
		{"name", edit("choir-7", `a\nb`), "want 1 to 64"},
		{"oversized", string(b) + strings.Repeat(" ", maxRing), "at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRing([]byte(tt.in))
			if err == nil {
				t.Fatalf("accepted: %+v", r)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := ReadRing(iotest.ErrReader(errors.New("reset"))); err == nil {
		t.Error("read a ring from a broken stream")
	}
	if _, err := ReadRing(endless{}); err == nil {
		t.Error("read a ring from an endless stream")
	}
}

// endless is a hostile contact's answer.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func FuzzParseRing(f *testing.F) {
	b, err := goldenRing().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"name":"a","id":"` + strings.Repeat("01", 32) + `","open":true,"shards":1,"replicas":1,"created":"9999-12-31T23:59:59-01:00"}`))
	f.Add([]byte(`{"format":2,"name":"a","id":"` + strings.Repeat("01", 32) + `","open":false,"key":"` + strings.Repeat("02", 32) + `","shards":1,"replicas":1,"created":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"format":99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRing(b)
		if err != nil {
			return
		}
		out, err := r.Marshal()
		if err != nil {
			t.Fatalf("%+v was read but cannot be written: %v", r, err)
		}
		again, err := ParseRing(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
