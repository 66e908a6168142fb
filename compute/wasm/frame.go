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
// the request. Both ends are the same program, so the version only guards
// against an executable that was replaced under a running parent.
const (
	protocolVersion = 1
	frameHeader     = 5
	hashSize        = 32
	seedSize        = 32
)

type frameKind byte

const (
	// From the parent.
	frameSetup frameKind = 1 // version, data limit, cache directory
	frameLoad  frameKind = 2 // sequence, hash, module
	frameDrop  frameKind = 3 // hash
	frameRun   frameKind = 4 // a runFrame
	// From the child.
	frameHello  frameKind = 16 // version
	frameLoaded frameKind = 17 // a doneFrame without output
	frameLog    frameKind = 18 // sequence, bytes
	frameDone   frameKind = 19 // a doneFrame
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

// runFrame asks for one run of a module that the child has loaded.
type runFrame struct {
	seq    uint32
	hash   [hashSize]byte
	seed   [seedSize]byte
	memory int64
	output int64
	log    int64
}

const runFrameSize = 4 + hashSize + seedSize + 3*8

func (f *runFrame) encode() []byte {
	b := make([]byte, 0, runFrameSize)
	b = binary.LittleEndian.AppendUint32(b, f.seq)
	b = append(b, f.hash[:]...)
	b = append(b, f.seed[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.memory))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.output))
	return binary.LittleEndian.AppendUint64(b, uint64(f.log))
}

// decode returns what follows the fixed part: the input.
func (f *runFrame) decode(b []byte) (input []byte, err error) {
	if len(b) < runFrameSize {
		return nil, errShortFrame
	}
	f.seq = binary.LittleEndian.Uint32(b)
	b = b[4:]
	b = b[copy(f.hash[:], b):]
	b = b[copy(f.seed[:], b):]
	f.memory = int64(binary.LittleEndian.Uint64(b))
	f.output = int64(binary.LittleEndian.Uint64(b[8:]))
	f.log = int64(binary.LittleEndian.Uint64(b[16:]))
	return b[24:], nil
}

// doneFrame is the child's answer to a load or a run.
type doneFrame struct {
	seq     uint32
	outcome byte // index into outcomes
	exit    uint32
	memory  uint64 // the module's memory at its largest
	dropped uint64 // bytes of log over the limit
	text    string
}

const (
	doneFrameSize = 4 + 1 + 4 + 8 + 8 + 4
	maxText       = 8 << 10
)

// outcomes numbers the kinds that a child may report; 0 is success.
var outcomes = [...]Kind{"", KindTrap, KindExit, KindMemory, KindOutput, KindModule}

func outcomeOf(kind Kind) byte {
	for i, k := range outcomes {
		if k == kind {
			return byte(i)
		}
	}
	panic("wasm: a child cannot report " + kind)
}

func (f *doneFrame) encode() []byte {
	text := f.text
	if len(text) > maxText {
		text = text[:maxText]
	}
	b := make([]byte, 0, doneFrameSize+len(text))
	b = binary.LittleEndian.AppendUint32(b, f.seq)
	b = append(b, f.outcome)
	b = binary.LittleEndian.AppendUint32(b, f.exit)
	b = binary.LittleEndian.AppendUint64(b, f.memory)
	b = binary.LittleEndian.AppendUint64(b, f.dropped)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

// decode returns what follows the text: the output.
func (f *doneFrame) decode(b []byte) (output []byte, err error) {
	if len(b) < doneFrameSize {
		return nil, errShortFrame
	}
	f.seq = binary.LittleEndian.Uint32(b)
	f.outcome = b[4]
	f.exit = binary.LittleEndian.Uint32(b[5:])
	f.memory = binary.LittleEndian.Uint64(b[9:])
	f.dropped = binary.LittleEndian.Uint64(b[17:])
	size := binary.LittleEndian.Uint32(b[25:])
	b = b[doneFrameSize:]
	if uint64(size) > uint64(len(b)) || size > maxText {
		return nil, errShortFrame
	}
	if int(f.outcome) >= len(outcomes) {
		return nil, fmt.Errorf("unknown outcome %d", f.outcome)
	}
	f.text = string(b[:size])
	return b[size:], nil
}

// err is the failure that the frame reports, nil for success.
func (f *doneFrame) err() error {
	if f.outcome == 0 {
		return nil
	}
	return &Error{Kind: outcomes[f.outcome], Exit: f.exit, Text: f.text}
}

// setupFrame is the first frame that a child receives.
type setupFrame struct {
	version byte
	data    uint64 // bytes of data segment on top of what the child has when it starts
	cache   string
}

func (f *setupFrame) encode() []byte {
	b := append(make([]byte, 0, 9+len(f.cache)), f.version)
	b = binary.LittleEndian.AppendUint64(b, f.data)
	return append(b, f.cache...)
}

func (f *setupFrame) decode(b []byte) error {
	if len(b) < 9 {
		return errShortFrame
	}
	f.version = b[0]
	f.data = binary.LittleEndian.Uint64(b[1:])
	f.cache = string(b[9:])
	return nil
}
