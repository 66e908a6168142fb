package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParcelGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Parcel
		want string
	}{
		{"whole", Parcel{Part: []byte("abc")}, "00616263"},
		{"whole and empty", Parcel{Part: []byte{}}, "00"},
		{"part", Parcel{ID: [16]byte{0: 1, 15: 2}, At: 0x10203, Part: []byte("z")}, "01" + "01000000000000000000000000000002" + "00010203" + "7a"},
	} {
		b := AppendParcel(nil, tt.p)
		if got := hex.EncodeToString(b); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		back, err := ParseParcel(b)
		if diff := cmp.Diff(tt.p, back); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func TestParcelRefusesMalformed(t *testing.T) {
	far := AppendParcel(nil, Parcel{ID: [16]byte{1}, At: MaxControl + 1})
	for name, b := range map[string][]byte{
		"empty": {}, "another kind": {2, 0}, "half a head": far[:20], "too far": far,
		"zero ID": append([]byte{1}, make([]byte, 20)...),
	} {
		if p, err := ParseParcel(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func FuzzParseParcel(f *testing.F) {
	f.Add(AppendParcel(nil, Parcel{Part: []byte("abc")}))
	f.Add(AppendParcel(nil, Parcel{ID: [16]byte{1}, At: 7, Part: []byte("abc")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParcel(b)
		if err != nil {
			return
		}
		if again := AppendParcel(nil, p); !bytes.Equal(again, b) {
			t.Errorf("%x, read and written again %x", b, again)
		}
	})
}
