package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// AppendClock appends a peer's time, in nanoseconds since 1970.
func AppendClock(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
}

// ParseClock reads what AppendClock wrote. The time may be any.
func ParseClock(b []byte) (time.Time, error) {
	if len(b) != 8 {
		return time.Time{}, malformed("clock", fmt.Errorf("%d bytes", len(b)))
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))), nil
}
