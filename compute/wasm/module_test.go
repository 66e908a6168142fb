package wasm

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

func TestInspect(t *testing.T) {
	for module, want := range map[*[]byte]int64{&wasmtest.Echo: pageSize, &wasmtest.Huge: 4 << 30, &wasmtest.Table: 1<<30 + pageSize} {
		if got, err := inspect(*module); err != nil || got.memory != want {
			t.Errorf("memory %d, %v; want %d", got.memory, err, want)
		}
	}
	// Any prefix of a module is refused, without a panic.
	for i := range wasmtest.Echo {
		var f *Error
		if err := Check(wasmtest.Echo[:i]); err != nil && (!errors.As(err, &f) || f.Kind != KindModule) {
			t.Fatalf("prefix of %d bytes: %v", i, err)
		}
	}
}

// What a section says of itself is what is in it: rewrite relies on that.
func TestSectionsAreWhatTheySay(t *testing.T) {
	preamble := string(magic) + string(coreVersion)
	export := "\x06_start\x00\x00"
	for module, want := range map[string]string{
		preamble + "\x07\x0a\x01" + export:                             "",
		preamble + "\x07\x0b\x01" + export + "\x00":                    "holds more than it says",
		preamble + "\x07\x0a\x02" + export:                             "in the middle of a section",
		preamble + "\x06\x05\xff\xff\xff\xff\x0f\x07\x0a\x01" + export: "in the middle of a section",
	} {
		err := Check([]byte(module))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v; want %q", module, err, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, m := range [][]byte{wasmtest.Echo, wasmtest.Table, wasmtest.Stranger, wasmtest.Unknown, []byte("(module)"), wasmtest.Counter} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := inspect(b)
		var failure *Error
		if err != nil && (!errors.As(err, &failure) || failure.Kind != KindModule) {
			t.Fatalf("error %v is no verdict on the module", err)
		}
		if found.memory < 0 || found.memory > 1<<60 {
			t.Fatalf("memory %d", found.memory)
		}
		if err == nil {
			changed, _, err := rewrite(b, !found.start)
			if err == nil {
				err = Check(changed)
			}
			if err != nil {
				t.Fatalf("it passes, but not once it is rewritten: %v", err)
			}
		}
	})
}
