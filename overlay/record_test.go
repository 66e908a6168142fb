package overlay

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/wire"
)

func TestSignatures(t *testing.T) {
	key, err := bootstrap.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := p2p.IDOf(key)
	if err != nil {
		t.Fatal(err)
	}
	record := func(seq uint64) []byte {
		b, err := wire.SignPeer(chord.Peer{ID: id, Incarnation: 1, Seq: seq, Indexes: []uint32{1}}, nil, func(domain string, data []byte) ([]byte, error) {
			return p2p.Sign(key, domain, data)
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var s signatures
	good := record(1)
	for range 2 {
		if !s.valid(good) {
			t.Fatal("a good record was refused")
		}
	}
	if len(s.good) != 1 {
		t.Errorf("%d records remembered", len(s.good))
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if s.valid(bad) {
			t.Errorf("valid with byte %d of %d changed", i, len(good))
		}
	}
	if s.valid(nil) {
		t.Error("an empty record is valid")
	}
	if len(s.good) != 1 {
		t.Errorf("%d records remembered, bad ones among them", len(s.good))
	}
	for i := range maxSignatures {
		s.good[fmt.Sprint(i)] = struct{}{}
	}
	if !s.valid(record(2)) || len(s.good) > maxSignatures {
		t.Errorf("%d records remembered, at most %d", len(s.good), maxSignatures)
	}
}
