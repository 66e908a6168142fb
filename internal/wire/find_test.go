package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
)

func TestFind(t *testing.T) {
	target := chord.HashID([]byte("x"))
	if got, err := ParseTarget(AppendTarget(nil, target)); err != nil || got != target {
		t.Errorf("target %v, %v", got, err)
	}
	for _, b := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if _, err := ParseTarget(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("a target of %d bytes: %v", len(b), err)
		}
	}
	for _, f := range []Found{
		{Done: true, Peers: []chord.Peer{signedPeer(t, "peer-a", 1), signedPeer(t, "peer-b", 2)}},
		{Peers: []chord.Peer{signedPeer(t, "peer-a", 1)}},
		{},
	} {
		got, err := ParseFound(AppendFound(nil, f))
		if diff := cmp.Diff(f, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for _, b := range [][]byte{nil, {2}, {1}} {
		if _, err := ParseFound(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("an answer of %x: %v", b, err)
		}
	}
}

func FuzzParseFound(f *testing.F) {
	f.Add(AppendFound(nil, Found{Done: true, Peers: []chord.Peer{signedPeer(f, "peer-a", 1, 5)}}))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := ParseFound(b)
		if err != nil {
			return
		}
		again, err := ParseFound(AppendFound(nil, found))
		if err != nil || !cmp.Equal(found, again) || found.Done && len(found.Peers) == 0 {
			t.Errorf("%x reads as %+v, then as %+v, %v", b, found, again, err)
		}
		if _, err := ParseTarget(bytes.Clone(b)); (err == nil) != (len(b) == 32) {
			t.Errorf("a target of %d bytes: %v", len(b), err)
		}
	})
}
