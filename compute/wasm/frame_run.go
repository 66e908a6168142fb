package wasm

import (
	"encoding/binary"
	"fmt"
)

// runFrame asks for one run of a module that the child has loaded.
type runFrame struct {
	seq    uint32
	hash   [hashSize]byte
	seed   [seedSize]byte
	memory int64
	output int64
	log    int64
	parts  [][]byte // what is to be joined, if the run joins
}

const runFrameSize = 4 + hashSize + seedSize + 3*8

func (f *runFrame) encode() []byte {
	b := make([]byte, 0, runFrameSize)
	b = binary.LittleEndian.AppendUint32(b, f.seq)
	b = append(b, f.hash[:]...)
	b = append(b, f.seed[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.memory))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.output))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.log))
	return appendBlobs(b, f.parts)
}

// decode returns what follows the parts: the input.
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
	f.parts, input, err = cutBlobs(b[24:])
	return input, err
}

// doneFrame is the child's answer to a load or a run.
type doneFrame struct {
	seq     uint32
	outcome byte // index into outcomes
	exit    uint32
	warm    bool   // the run found an instance that was ready
	memory  uint64 // the module's memory at its largest
	dropped uint64 // bytes of log over the limit
	text    string
	spawned [][]byte // inputs of the parts into which the run divided its task
}

const (
	doneFrameSize = 4 + 1 + 4 + 1 + 8 + 8 + 4
	maxText       = 8 << 10
)

// outcomes numbers the kinds that a child may report; 0 is success.
var outcomes = [...]Kind{"", KindTrap, KindExit, KindMemory, KindOutput, KindModule, KindSpawn}

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
	b = append(b, 0)
	if f.warm {
		b[len(b)-1] = 1
	}
	b = binary.LittleEndian.AppendUint64(b, f.memory)
	b = binary.LittleEndian.AppendUint64(b, f.dropped)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	return appendBlobs(b, f.spawned)
}

// decode returns what follows the spawned parts: the output.
func (f *doneFrame) decode(b []byte) (output []byte, err error) {
	if len(b) < doneFrameSize {
		return nil, errShortFrame
	}
	f.seq = binary.LittleEndian.Uint32(b)
	f.outcome = b[4]
	f.exit = binary.LittleEndian.Uint32(b[5:])
	f.warm = b[9] == 1
	f.memory = binary.LittleEndian.Uint64(b[10:])
	f.dropped = binary.LittleEndian.Uint64(b[18:])
	size := binary.LittleEndian.Uint32(b[26:])
	if b[9] > 1 {
		return nil, fmt.Errorf("unknown mark %d", b[9])
	}
	b = b[doneFrameSize:]
	if uint64(size) > uint64(len(b)) || size > maxText {
		return nil, errShortFrame
	}
	if int(f.outcome) >= len(outcomes) {
		return nil, fmt.Errorf("unknown outcome %d", f.outcome)
	}
	f.text = string(b[:size])
	f.spawned, output, err = cutBlobs(b[size:])
	return output, err
}

// err is the failure that the frame reports, nil for success.
func (f *doneFrame) err() error {
	if f.outcome == 0 {
		return nil
	}
	return &Error{Kind: outcomes[f.outcome], Exit: f.exit, Text: f.text}
}

// ask is what a module may want of its parent while it runs.
type ask byte

const (
	askGet ask = 1 // key
	askPut ask = 2 // key, value
)

// askFrame is the child's question; the value follows.
type askFrame struct {
	seq uint32 // of the run
	ask ask
	key string
}

const askFrameSize = 4 + 1 + 4

func (f *askFrame) encode() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, askFrameSize+len(f.key)), f.seq)
	b = append(b, byte(f.ask))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.key)))
	return append(b, f.key...)
}

// decode returns what follows the key: the value.
func (f *askFrame) decode(b []byte) (value []byte, err error) {
	if len(b) < askFrameSize {
		return nil, errShortFrame
	}
	f.seq = binary.LittleEndian.Uint32(b)
	f.ask = ask(b[4])
	size := binary.LittleEndian.Uint32(b[5:])
	b = b[askFrameSize:]
	if uint64(size) > uint64(len(b)) || size > MaxKey {
		return nil, errShortFrame
	}
	f.key = string(b[:size])
	return b[size:], nil
}

// verdict is how a question went.
type verdict byte

const (
	verdictOK       verdict = 0
	verdictNotFound verdict = 1
	verdictRefused  verdict = 2
	verdictFailed   verdict = 3
)

// replyFrame is the parent's answer; the value, or why there is none, follows.
type replyFrame struct {
	seq     uint32
	verdict verdict
}

const replyFrameSize = 4 + 1

func (f *replyFrame) encode() []byte {
	return append(binary.LittleEndian.AppendUint32(make([]byte, 0, replyFrameSize), f.seq), byte(f.verdict))
}

func (f *replyFrame) decode(b []byte) (body []byte, err error) {
	if len(b) < replyFrameSize {
		return nil, errShortFrame
	}
	f.seq, f.verdict = binary.LittleEndian.Uint32(b), verdict(b[4])
	return b[replyFrameSize:], nil
}

// appendBlobs appends how many blobs there are, and each behind its length.
func appendBlobs(b []byte, blobs [][]byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(blobs)))
	for _, blob := range blobs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(blob)))
		b = append(b, blob...)
	}
	return b
}

// maxBlobs is what the blobs of a frame take at most.
const maxBlobs = 4 + 4*MaxParts + MaxPartBytes

// cutBlobs reads blobs off b, which they alias.
func cutBlobs(b []byte) (blobs [][]byte, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShortFrame
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if n > MaxParts {
		return nil, nil, fmt.Errorf("%d parts", n)
	}
	for range n {
		if len(b) < 4 {
			return nil, nil, errShortFrame
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return nil, nil, errShortFrame
		}
		blobs = append(blobs, b[:size:size])
		b = b[size:]
	}
	return blobs, b, nil
}
