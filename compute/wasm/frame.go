package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Parent and child talk in frames over two pipes:
//
//	kind (1 byte) | length of the body (4 bytes, little endian) | body
//
// The parent asks, one request at a time, and each answer repeats the number of
// the request. While a module runs the child may ask in turn, one thing at a
// time. Both ends are the same program, so the version only guards
// against an executable that was replaced under a running parent.
const (
	protocolVersion = 2
	frameHeader     = 5
	hashSize        = 32
	seedSize        = 32
)

type frameKind byte

const (
	// From the parent.
	frameSetup frameKind = 1 // version, data limit, largest memory, cache directory
	frameLoad  frameKind = 2 // sequence, hash, module
	frameDrop  frameKind = 3 // hash
	frameRun   frameKind = 4 // a runFrame
	frameReply frameKind = 5 // a replyFrame
	// From the child.
	frameHello  frameKind = 16 // version
	frameLoaded frameKind = 17 // a doneFrame without output
	frameLog    frameKind = 18 // sequence, bytes
	frameDone   frameKind = 19 // a doneFrame
	frameAsk    frameKind = 20 // an askFrame
)

var errShortFrame = errors.New("frame is too short")

func writeFrame(w io.Writer, kind frameKind, parts ...[]byte) error {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	var header [frameHeader]byte
	header[0] = byte(kind)
	binary.LittleEndian.PutUint32(header[1:], uint32(size))
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads one frame whose body is at most limit bytes long.
func readFrame(r io.Reader, limit int) (frameKind, []byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(header[1:])
	if uint64(size) > uint64(limit) {
		return 0, nil, fmt.Errorf("frame of %d bytes, at most %d are allowed", size, limit)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return frameKind(header[0]), body, nil
}

// setupFrame is the first frame that a child receives.
type setupFrame struct {
	version byte
	data    uint64 // bytes of data segment on top of what the child has when it starts
	memory  uint64 // bytes of the largest memory that a module may be given
	cache   string
}

const setupFrameSize = 1 + 2*8

func (f *setupFrame) encode() []byte {
	b := append(make([]byte, 0, setupFrameSize+len(f.cache)), f.version)
	b = binary.LittleEndian.AppendUint64(b, f.data)
	b = binary.LittleEndian.AppendUint64(b, f.memory)
	return append(b, f.cache...)
}

func (f *setupFrame) decode(b []byte) error {
	if len(b) < setupFrameSize {
		return errShortFrame
	}
	f.version = b[0]
	f.data = binary.LittleEndian.Uint64(b[1:])
	f.memory = binary.LittleEndian.Uint64(b[9:])
	f.cache = string(b[setupFrameSize:])
	return nil
}
