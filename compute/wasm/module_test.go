package wasm

import (
	"crypto/sha256"
	"errors"
	"testing"
)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

func TestInspect(t *testing.T) {
	for module, want := range map[*[]byte]int64{&moduleEcho: pageSize, &moduleHuge: 4 << 30, &moduleTable: 1<<30 + pageSize} {
		if got, err := inspect(*module); err != nil || got != want {
			t.Errorf("memory %d, %v; want %d", got, err, want)
		}
	}
	// Any prefix of a module is refused, without a panic.
	for i := range moduleEcho {
		var f *Error
		if err := Check(moduleEcho[:i]); err != nil && (!errors.As(err, &f) || f.Kind != KindModule) {
			t.Fatalf("prefix of %d bytes: %v", i, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, m := range [][]byte{moduleEcho, moduleTable, moduleStranger, moduleUnknown, []byte("(module)")} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		memory, err := inspect(b)
		var failure *Error
		if err != nil && (!errors.As(err, &failure) || failure.Kind != KindModule) {
			t.Fatalf("error %v is no verdict on the module", err)
		}
		if memory < 0 || memory > 1<<60 {
			t.Fatalf("memory %d", memory)
		}
	})
}
