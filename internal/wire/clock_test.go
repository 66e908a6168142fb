package wire

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	for _, want := range []time.Time{time.Unix(0, 0), time.Unix(1e9, 1), time.Unix(-5, 0)} {
		if got, err := ParseClock(AppendClock(nil, want)); err != nil || !got.Equal(want) {
			t.Errorf("%v reads as %v, %v", want, got, err)
		}
	}
	for _, b := range []string{"", "1234567", "123456789"} {
		if got, err := ParseClock([]byte(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q reads as %v, %v", b, got, err)
		}
	}
}

func FuzzParseClock(f *testing.F) {
	f.Add(AppendClock(nil, time.Unix(1e9, 1)))
	f.Add([]byte("1234567"))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := ParseClock(b)
		if err != nil {
			return
		}
		if again := AppendClock(nil, at); !bytes.Equal(again, b) {
			t.Errorf("%x reads as %v, which is written as %x", b, at, again)
		}
	})
}
