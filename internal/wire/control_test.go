package wire

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestControlGolden(t *testing.T) {
	b, err := AppendControl([]byte{0xee}, ControlPut{Key: "a", TTLms: 7, W: "all"}, []byte{0, 0xff})
	if err != nil {
		t.Fatal(err)
	}
	const want = "ee" + "01" + "20" +
		"7b226b6579223a2261222c2274746c5f6d73223a372c2277223a22616c6c227d" + // {"key":"a","ttl_ms":7,"w":"all"}
		"00ff"
	if got := hex.EncodeToString(b); got != want {
		t.Fatalf("AppendControl wrote\n%s, want\n%s", got, want)
	}
	var doc ControlPut
	body, err := ParseControl(b[1:], &doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ControlPut{Key: "a", TTLms: 7, W: "all"}, doc); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte{0, 0xff}, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestControlWithoutDocument(t *testing.T) {
	b, err := AppendControl(nil, nil, []byte("raw"))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := ParseControl(b, nil); err != nil || string(body) != "raw" {
		t.Fatalf("ParseControl: %q, %v", body, err)
	}
	if _, err := ParseControl(b, &ControlGet{}); err == nil {
		t.Fatal("a missing document was accepted")
	}
}

func TestControlRefusesMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":            {},
		"other version":    {2, 0},
		"no length":        {1},
		"length too large": {1, 5, '{', '}'},
		"endless length":   {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"not a document":   {1, 2, 'x', 'y'},
	} {
		if _, err := ParseControl(b, &ControlGet{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	seed, err := AppendControl(nil, ControlList{Prefix: "a/", Limit: 3}, []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var doc ControlList
		body, err := ParseControl(b, &doc)
		if err != nil {
			return
		}
		again, err := AppendControl(nil, doc, body)
		if err != nil {
			t.Fatalf("encode what was parsed: %v", err)
		}
		var twin ControlList
		if _, err := ParseControl(again, &twin); err != nil || twin != doc {
			t.Fatalf("%+v came back as %+v, %v", doc, twin, err)
		}
	})
}
