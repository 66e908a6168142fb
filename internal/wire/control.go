package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Requests of the control socket. Each travels as the document of a control
// message; answers are documents of package overlay/client.
type (
	// ControlPut stores a key; the body is the value.
	ControlPut struct {
		Key     string `json:"key"`
		TTLms   int64  `json:"ttl_ms,omitempty"`
		Forever bool   `json:"forever,omitempty"`
		W       string `json:"w,omitempty"`
	}
	// ControlGet reads a key; the body of the answer is the value.
	ControlGet struct {
		Key string `json:"key"`
		R   string `json:"r,omitempty"`
	}
	// ControlSwap sets a register to the body if it is at the version.
	ControlSwap struct {
		Key     string `json:"key"`
		Version uint64 `json:"version"`
	}
	// ControlSwapped answers it: whether it was not, and how the register is then;
	// the body is the value.
	ControlSwapped struct {
		Conflict bool   `json:"conflict,omitempty"`
		Version  uint64 `json:"version"`
	}
	// ControlCommit makes chunks visible as the value of a key; the body is their
	// manifest.
	ControlCommit struct {
		ControlPut
		Oldest string `json:"oldest"` // version of the oldest chunk
		Reused int    `json:"reused,omitempty"`
	}
	// ControlChunk asks for a chunk; the body of the answer is its bytes.
	ControlChunk struct {
		Key  string `json:"key"` // of the value
		Hash []byte `json:"hash"`
		Size int    `json:"size"`
	}
	// ControlWatch is about a watch: its next events, or its end.
	ControlWatch struct {
		ID    string `json:"id"`
		Limit int    `json:"limit,omitempty"`
	}
	// ControlList asks for a page of keys.
	ControlList struct {
		Prefix string `json:"prefix,omitempty"`
		After  string `json:"after,omitempty"`
		Limit  int    `json:"limit"`
	}
	// ControlName names the job or the peer that a call is about.
	ControlName struct {
		ID string `json:"id"`
	}
	// ControlRotate says for how long both keys of the ring are good.
	ControlRotate struct {
		OverlapMs int64 `json:"overlap_ms,omitempty"`
	}
)

// MaxControl bounds a frame of the control socket in bytes: a job's module and
// inputs, or its results, travel in one.
const MaxControl = 64 << 20

// controlVersion opens each control message.
const controlVersion = 1

// AppendControl appends a message of the control socket: a version byte, the
// length of a JSON document, the document, and bulk bytes as they are. Neither
// values nor modules pass through JSON that way. doc may be nil.
func AppendControl(b []byte, doc any, body []byte) ([]byte, error) {
	var text []byte
	if doc != nil {
		var err error
		if text, err = json.Marshal(doc); err != nil {
			return nil, fmt.Errorf("encode control message: %w", err)
		}
	}
	b = slices.Grow(b, 1+binary.MaxVarintLen32+len(text)+len(body))
	b = append(b, controlVersion)
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, text...)
	return append(b, body...), nil
}

// ParseControl reads a message of the control socket into doc, which may be
// nil, and returns its body, which shares memory with b. Fields of the document
// that doc lacks are skipped.
func ParseControl(b []byte, doc any) (body []byte, err error) {
	if len(b) == 0 || b[0] != controlVersion {
		return nil, errors.New("parse control message: unknown version; client and peer are of different releases")
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return nil, errors.New("parse control message: cut short")
	}
	text, body := b[1+n:1+n+int(size)], b[1+n+int(size):]
	if doc == nil {
		return body, nil
	}
	if err := json.Unmarshal(text, doc); err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	return body, nil
}
