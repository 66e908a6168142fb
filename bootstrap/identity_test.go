package bootstrap

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestIdentityGolden(t *testing.T) {
	key, err := NewIdentity(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "identity.key", b)
	again, err := ParseIdentity(b)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equals(again) {
		t.Error("another key came out")
	}
	if got, want := testID(t, 1).String(), "12D3KooWCtgLB35RpjwhC4Hwgj2ZbSsN7WRMiDdBQg9mExHX659m"; got != want {
		t.Errorf("peer ID %s, want %s", got, want)
	}
}

func TestIdentityIsKept(t *testing.T) {
	h := openHome(t, t.TempDir())
	key, err := h.Identity()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(h.Path(IdentityFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	again, err := h.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equals(again) {
		t.Error("the second call yields another key")
	}
	other, err := openHome(t, t.TempDir()).Identity()
	if err != nil {
		t.Fatal(err)
	}
	if key.Equals(other) {
		t.Error("two homes have one key")
	}
}

func TestIdentityRefused(t *testing.T) {
	rsa, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaBytes, err := crypto.MarshalPrivateKey(rsa)
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile("testdata/identity.key")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		content []byte
		mode    os.FileMode
		want    string
	}{
		{"readable by others", good, 0o644, "chmod 600"},
		{"writable by its group", good, 0o620, "mode 0620"},
		{"empty", nil, 0o600, "holds no key"},
		{"torn", good[:len(good)/2], 0o600, "holds no key"},
		{"flipped", append([]byte{good[0], good[1] ^ 0xff}, good[2:]...), 0o600, "holds no key"},
		{"another type", rsaBytes, 0o600, "want Ed25519"},
		{"oversized", make([]byte, maxIdentity+1), 0o600, "holds no key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := openHome(t, t.TempDir())
			path := h.Path(IdentityFile)
			if err := os.WriteFile(path, tt.content, tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil { // whatever the umask
				t.Fatal(err)
			}
			_, err := h.Identity()
			wantCode(t, err, CodeBadIdentity, path, tt.want)
			if got, err := os.ReadFile(path); err != nil || string(got) != string(tt.content) {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		h := openHome(t, t.TempDir())
		if err := os.Mkdir(h.Path(IdentityFile), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := h.Identity()
		wantCode(t, err, CodeBadIdentity, "not a regular file")
	})
	t.Run("lost", func(t *testing.T) {
		h := openHome(t, t.TempDir())
		if err := os.Mkdir(h.Path(DataDir), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := h.Identity()
		wantCode(t, err, CodeBadIdentity, "is gone")
	})
}

func FuzzParseIdentity(f *testing.F) {
	good, err := os.ReadFile("testdata/identity.key")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParseIdentity(b)
		if err != nil {
			return
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		out, err := crypto.MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseIdentity(out)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := peer.IDFromPrivateKey(again); err != nil || got != id {
			t.Fatalf("peer %s became %s, %v", id, got, err)
		}
	})
}
