package store

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// owner is a key pair with the namespace that it owns.
type owner struct {
	key     PublicKey
	ns      string
	private ed25519.PrivateKey
}

func (o owner) sign(m []byte) ([]byte, error) { return ed25519.Sign(o.private, m), nil }

// ownerOf makes the owner that a seed gives; the text of its ID was made with go-libp2p.
func ownerOf(seed byte, ns string) owner {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return owner{PublicKey(private.Public().(ed25519.PublicKey)), ns, private}
}

var (
	testRing = [32]byte{9}
	ada      = ownerOf(1, "@12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5")
	bob      = ownerOf(2, "@12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq")
)

func TestOwnerOf(t *testing.T) {
	for _, o := range []owner{ada, bob} {
		if key, err := OwnerOf(o.ns); err != nil || key != o.key {
			t.Errorf("%s: %x, %v, want %x", o.ns, key, err, o.key)
		}
		if ns := NamespaceOf(o.key); ns != o.ns {
			t.Errorf("%x owns %s, want %s", o.key, ns, o.ns)
		}
	}
	id := ada.ns[1:]
	for name, ns := range map[string]string{
		"nothing": "", "no prefix": id, "only the prefix": "@", "a digit that is none": "@" + strings.Replace(id, "K", "0", 1),
		"short": ada.ns[:52], "long": ada.ns + "1", "another 1 in front": "@1" + id, "no 1 in front": "@" + id[1:],
		"of another kind of key": "@QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "endless": "@1" + strings.Repeat("z", 1000),
	} {
		if key, err := OwnerOf(ns); !errors.Is(err, ErrOwner) {
			t.Errorf("%s: %x, %v", name, key, err)
		}
	}
}

func ownedRecord(o owner, key string, edit func(*Record)) Record {
	r := Record{
		Namespace: o.ns, Key: key, Position: Route(o.ns, key), Value: []byte("v"),
		Version: Version{Clock: ClockAt(time.UnixMilli(1_700_000_000_000)), Writer: 7}, Dot: Dot{Actor: 7, Counter: 8},
	}
	if edit != nil {
		edit(&r)
	}
	return r
}

func view(t *testing.T, r *Record) View {
	t.Helper()
	v, err := OpenRecord(r.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func signedBy(t *testing.T, o owner, r Record, g *Grant) View {
	t.Helper()
	if err := SignOwned(testRing, &r, g, o.sign); err != nil {
		t.Fatal(err)
	}
	return view(t, &r)
}

func TestOwnedSignature(t *testing.T) {
	good := signedBy(t, ada, ownedRecord(ada, "k", nil), nil)
	if err := CheckOwned(testRing, good); err != nil {
		t.Fatal(err)
	}
	plain := ownedRecord(ada, "k", func(r *Record) { r.Namespace = "plain" })
	if err := CheckOwned(testRing, view(t, &plain)); err != nil {
		t.Errorf("a record that needs no signature: %v", err)
	}
	tombstone := signedBy(t, ada, ownedRecord(ada, "k", func(r *Record) { r.Tombstone, r.Value = true, nil }), nil)
	if err := CheckOwned(testRing, tombstone); err != nil {
		t.Errorf("a tombstone: %v", err)
	}
	signed := good.Record()
	for name, edit := range map[string]func(*Record){
		"without a signature": func(r *Record) { r.Owner = nil },
		"under another key":   func(r *Record) { r.Key = "l"; r.Position = Route(r.Namespace, r.Key) },
		"elsewhere":           func(r *Record) { r.Position[0] ^= 1 },
		"in another space":    func(r *Record) { r.Namespace = bob.ns; r.Position = Route(r.Namespace, r.Key) },
		"in nobody's space":   func(r *Record) { r.Namespace = "@ada"; r.Position = Route(r.Namespace, r.Key) },
		"of another version":  func(r *Record) { r.Version.Clock++ },
		"of another writer":   func(r *Record) { r.Version.Writer++ },
		"of another event":    func(r *Record) { r.Dot.Counter++ },
		"that expires":        func(r *Record) { r.Expires = 5 },
		"deleted":             func(r *Record) { r.Tombstone, r.Value = true, nil },
		"marked large":        func(r *Record) { r.Large = true },
		"of another value":    func(r *Record) { r.Value = []byte("w") },
		"of another class":    func(r *Record) { r.Class = ClassPaxos },
		"by another":          func(r *Record) { must(SignOwned(testRing, r, nil, bob.sign)) },
		"for another ring":    func(r *Record) { must(SignOwned([32]byte{8}, r, nil, ada.sign)) },
		"with a longer slot":  func(r *Record) { r.Owner = append(bytes.Clone(r.Owner), 0) },
	} {
		forged := signed
		edit(&forged)
		if err := CheckOwned(testRing, view(t, &forged)); !errors.Is(err, ErrForged) {
			t.Errorf("a record %s: %v", name, err)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// No bit of a signed record can be changed: it does not open, or is forged.
func TestOwnedEveryBit(t *testing.T) {
	g, err := NewGrant(testRing, ada.key, bob.key, time.UnixMilli(1_800_000_000_000), ada.sign)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]View{
		"the owner's":  signedBy(t, ada, ownedRecord(ada, "k", nil), nil),
		"the writer's": signedBy(t, bob, ownedRecord(ada, "k", nil), &g),
	} {
		if err := CheckOwned(testRing, v); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(v.raw) {
			if bit/8 >= 4 && bit/8 < 8 {
				continue // the checksum
			}
			b := bytes.Clone(v.raw)
			b[bit/8] ^= 1 << (bit % 8)
			binary.BigEndian.PutUint32(b[4:], recordSum(b))
			if changed, err := OpenRecord(b); err == nil && IsOwned(changed.Namespace()) && CheckOwned(testRing, changed) == nil {
				t.Errorf("%s record with bit %d changed is taken", name, bit)
			}
		}
	}
}

func TestOwnedGrant(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000) // of the record
	grant := func(by owner, writer owner, until time.Time) *Grant {
		g, err := NewGrant(testRing, by.key, writer.key, until, by.sign)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeGrant(g.AppendTo(nil))
		if err != nil || back != g {
			t.Fatalf("%+v, %v", back, err)
		}
		return &g
	}
	for _, tt := range []struct {
		name   string
		signer owner
		grant  *Grant
		key    string
		good   bool
	}{
		{"a writer's", bob, grant(ada, bob, at.Add(time.Second)), "k", true},
		{"when it ended", bob, grant(ada, bob, at), "k", false},
		{"by the writer itself", bob, grant(bob, bob, at.Add(time.Second)), "k", false},
		{"of another writer", bob, grant(ada, ada, at.Add(time.Second)), "k", false},
		{"to make grants", bob, grant(ada, bob, at.Add(time.Second)), GrantsPrefix + "x", false},
		{"none", bob, nil, "k", false},
	} {
		v := signedBy(t, tt.signer, ownedRecord(ada, tt.key, nil), tt.grant)
		if err := CheckOwned(testRing, v); (err == nil) != tt.good || err != nil && !errors.Is(err, ErrForged) {
			t.Errorf("a grant %s: %v", tt.name, err)
		}
	}
	if g, err := DecodeGrant(make([]byte, grantSize+1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%+v, %v", g, err)
	}
}

// A replica that shows no record for its version, or a forged one, has not answered.
func TestCheckReply(t *testing.T) {
	r := ownedRecord(ada, "k", nil)
	unsigned := r.AppendTo(nil)
	must(SignOwned(testRing, &r, nil, ada.sign))
	signed := r.AppendTo(nil)
	for _, tt := range []struct {
		name, ns string
		reply    ReadReply
		want     error
	}{
		{"a signed record", ada.ns, ReadReply{Version: r.Version, Record: signed}, nil},
		{"nothing", ada.ns, ReadReply{}, nil},
		{"a referral", ada.ns, ReadReply{Status: StatusReferral, Version: r.Version}, nil},
		{"a record without a signature", ada.ns, ReadReply{Version: r.Version, Record: unsigned}, ErrForged},
		{"a version alone", ada.ns, ReadReply{Version: r.Version}, ErrCorrupt},
		{"a version alone, where nobody owns", "plain", ReadReply{Version: r.Version}, nil},
	} {
		if err := CheckReply(testRing, tt.ns, tt.reply); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestOwnedGolden(t *testing.T) {
	v := signedBy(t, ada, ownedRecord(ada, "k", nil), nil)
	const want = "01" + "91e941e4ecd9612ccd50baa8d520389aded5f286ee3d983af2f5805f9f68b73e5af70f6ca73486c7070f8305c2e33e20b029ab9ac061475cf4f8b5bbf4afeb0c"
	if got := hex.EncodeToString(v.raw[v.owner:v.value]); got != want {
		t.Errorf("the slot is %s, want %s", got, want)
	}
}

func FuzzOwned(f *testing.F) {
	g, err := NewGrant(testRing, ada.key, bob.key, time.UnixMilli(1_800_000_000_000), ada.sign)
	must(err)
	for _, r := range []Record{ownedRecord(ada, "k", nil), ownedRecord(ada, "k", nil)} {
		must(SignOwned(testRing, &r, nil, ada.sign))
		f.Add(r.Owner, r.Value)
		must(SignOwned(testRing, &r, &g, bob.sign))
		f.Add(r.Owner, r.Value)
	}
	f.Fuzz(func(t *testing.T, slot, value []byte) {
		r := ownedRecord(ada, "k", nil)
		r.Owner, r.Value = slot, value
		if r.Check() != nil {
			return
		}
		v := view(t, &r)
		if CheckOwned(testRing, v) == nil && string(value) != "v" {
			t.Errorf("%x is signed by %x", value, slot)
		}
		if g, err := DecodeGrant(slot); err == nil && !bytes.Equal(g.AppendTo(nil), slot) {
			t.Errorf("%x, read and written again %x", slot, g.AppendTo(nil))
		}
	})
}
