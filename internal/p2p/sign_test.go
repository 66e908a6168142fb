package p2p_test

import (
	"testing"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
)

func TestSign(t *testing.T) {
	key, other := newKey(t), newKey(t)
	id, err := p2p.IDOf(key)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := p2p.IDOf(other)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p2p.Sign(key, "record/1", []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p2p.Verify(id, "record/1", []byte("data"), sig); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"other data":   p2p.Verify(id, "record/1", []byte("date"), sig),
		"other domain": p2p.Verify(id, "record/2", []byte("data"), sig),
		"other peer":   p2p.Verify(stranger, "record/1", []byte("data"), sig),
		"moved border": p2p.Verify(id, "record", []byte("/1data"), sig),
		"no signature": p2p.Verify(id, "record/1", []byte("data"), nil),
		"no peer":      p2p.Verify("", "record/1", []byte("data"), sig),
		"garbage peer": p2p.Verify("garbage", "record/1", []byte("data"), sig),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPeerIDs(t *testing.T) {
	id, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p2p.ParsePeerID(p2p.FormatPeerID(id)); err != nil || got != id {
		t.Errorf("read back %q, %v", got, err)
	}
	if _, err := p2p.ParsePeerID("nonsense"); err == nil {
		t.Error("read nonsense")
	}
	for _, bad := range []chord.PeerID{"", "x", chord.PeerID(make([]byte, 100))} {
		if p2p.ValidPeerID(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
	if !p2p.ValidPeerID(id) {
		t.Error("a real ID is not valid")
	}
}
