package compute

import (
	"strings"
	"testing"
)

// IDs come as text from callers of the socket.
func FuzzParseID(f *testing.F) {
	f.Add("000102030405060708090a0b0c0d0e0f")
	f.Add("000102030405060708090a0b0c0d0e0g")
	f.Add("00")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("%q reads as %s", s, id)
		}
	})
}
